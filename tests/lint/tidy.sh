#!/bin/sh
# Lint: clang-tidy finds nothing in the layers that everything stands on. (A compiler's pass over each source: what it would take
# for all of them buys more as tests.)
#
#   tests/lint/tidy.sh [JOBS]      from anywhere; CLANG_TIDY as in the environment

set -eu
cd "$(dirname "$0")/../.."

jobs=${1:-$(nproc 2> /dev/null || echo 2)}
clang_tidy=${CLANG_TIDY:-clang-tidy}
if ! command -v "$clang_tidy" > /dev/null; then
    echo "lint: no $clang_tidy here, not run"
    exit 0
fi
sources=$(mktemp)
trap 'rm -f "$sources"' EXIT

includes=
for layer in core data sys evl; do
    includes="$includes -I$layer/inc.linux -I$layer/inc.posix -I$layer/inc -I$layer/src"
done
find core/src data/src evl/src evl/src.linux -name '*.cc' > "$sources"
LINT_TIDY="$clang_tidy --quiet" LINT_FLAGS="-std=c++20 $includes -DLIBP_VERSION=\"x\"" \
    xargs -P "$jobs" -n 4 sh -c '$LINT_TIDY "$@" -- $LINT_FLAGS 2> /dev/null' tidy < "$sources" || exit 1
echo "lint: clang-tidy has nothing to say of $(wc -l < "$sources") sources"

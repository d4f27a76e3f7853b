#!/bin/sh
# Lint: every public header compiles on its own, with no more include folders than its layer may see,
# in every OS flavour that sees it (those of io, which know no flavours, in the first alone); and every source is formatted as .clang-format says.
#
#   tests/lint/headers.sh [JOBS]      from anywhere; CXX and CLANG_FORMAT as in the environment
#
# Prints what is wrong and exits 1, or prints nothing but a count.

set -eu
cd "$(dirname "$0")/../.."

jobs=${1:-2}
cxx=${CXX:-g++}
clang_format=${CLANG_FORMAT:-clang-format}
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# One line for each compilation: the -I set and the name a source would include the header by. A header
# that two flavours see through the same folders is compiled once.
for os in linux posix; do
    case $os in
        linux) flavours="linux posix" layers="core data sys evl io" ;;
        posix) flavours="posix" layers="core data sys evl" ;;
    esac
    includes=""
    for layer in $layers; do
        folders=""
        for folder in $(for f in $flavours; do echo "$layer/inc.$f"; done) "$layer/inc"; do
            [ -d "$folder" ] || continue
            # git keeps no empty folders: those that have no header are no difference between flavours.
            [ -n "$(find "$folder" -name '*.h' -print -quit)" ] || continue
            folders="$folders $folder"
            includes="$includes -I$folder"
        done
        for folder in $folders; do
            (cd "$folder" && find . -name '*.h') | sed 's|^\./||'
        done | sort -u | while read -r header; do echo "$header $includes"; done
    done
done | sort -u > "$list"

[ -s "$list" ] || { echo "lint: found no headers" >&2; exit 1; }

# xargs exits 123 when any compilation failed, after it has run them all.
LINT_CXX=$cxx xargs -P "$jobs" -L 1 sh -c '
    header=$1
    shift
    echo "#include <$header>" |
        $LINT_CXX -std=c++20 -pthread -Wall -Wextra -Wpedantic -Wundef -Werror -fsyntax-only -x c++ "$@" - ||
        { echo "lint: <$header> does not compile alone: $*" >&2; exit 1; }
' compile < "$list" || exit 1
echo "lint: $(wc -l < "$list") headers compile alone"

if command -v "$clang_format" > /dev/null; then
    for folder in core data sys evl io apps tests; do
        [ -d "$folder" ] || continue
        find "$folder" -name '*.h' -o -name '*.cc'
    done | sort > "$list"
    xargs -P "$jobs" -n 16 "$clang_format" --dry-run -Werror < "$list" || exit 1
    # clang-format leaves comments alone: it would fill tables.
    if xargs grep -nE '^.{101}' < "$list"; then
        echo "lint: lines of more than 100 columns" >&2
        exit 1
    fi
    echo "lint: $(wc -l < "$list") sources are formatted"
else
    echo "lint: no $clang_format here, formatting not checked"
fi

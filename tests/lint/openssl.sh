#!/bin/sh
# Lint: nothing needs a header of OpenSSL's but the one test that compares our declarations with them.
#
#   tests/lint/openssl.sh [JOBS]      from anywhere; CXX as in the environment
#
# Nothing else names one. The sources of TLS compile where OpenSSL's headers are hidden, behind ones that do not compile and are found before
# the system's. And that one test is compiled against the real headers, where there are any.

set -eu
cd "$(dirname "$0")/../.."

jobs=${1:-$(nproc 2> /dev/null || echo 2)}
only=tests/sys/tls_library_test.cc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

users=$(grep -rlE '#[[:space:]]*include[[:space:]]*[<"]openssl/' core data sys evl io apps tests --include='*.h' --include='*.cc')
if [ "$users" != "$only" ]; then
    echo "lint: only $only may include OpenSSL's headers, and here are:" >&2
    echo "$users" >&2
    exit 1
fi

mkdir -p "$work/hidden/openssl"
for header in bio crypto err evp opensslv pem rand ssl tls1 types x509 x509_vfy x509v3; do
    echo "#error \"<openssl/$header.h> is hidden\"" > "$work/hidden/openssl/$header.h"
done
includes="-Iapps -Itests"
for layer in core data sys evl io; do
    includes="$includes -I$layer/inc.linux -I$layer/inc.posix -I$layer/inc -I$layer/src"
done
LINT_CXX="${CXX:-g++} -std=c++20 -pthread -DLIBP_VERSION=\"0\" $includes -fsyntax-only"
export LINT_CXX work

if $LINT_CXX -I"$work/hidden" "$only" 2> /dev/null; then
    echo "lint: $only compiles with OpenSSL's headers hidden, so they are not" >&2
    exit 1
fi
find core data sys evl io apps -name '*tls*.cc' | sort > "$work/sources"
[ "$(wc -l < "$work/sources")" -ge 5 ] || { echo "lint: where are the sources of TLS?" >&2; exit 1; }
xargs -P "$jobs" -n 1 sh -c '$LINT_CXX -I"$work/hidden" "$1"' compile < "$work/sources" || exit 1
echo "lint: $(wc -l < "$work/sources") sources of TLS compile without OpenSSL's headers"

if echo '#include <openssl/ssl.h>' | $LINT_CXX -x c++ - 2> /dev/null; then
    $LINT_CXX "$only" || exit 1
    echo "lint: what we declare of OpenSSL is what its headers here do"
else
    echo "lint: no OpenSSL headers here, what we declare was not compared with them"
fi

#!/bin/sh
# usage: certificates.sh DIR
# Makes the certificates that tests need, in DIR, with the openssl program: two authorities, and of the first a server
# (localhost, 127.0.0.1), one for another name, one that has expired, two clients; and a self-signed server. NAME.pem is the
# certificate, NAME.key its key. Nothing is kept in the repository, where it would expire.
set -eu
cd "$1"

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" \
        -days 30 -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign
}
leaf() {  # NAME SUBJECT SUBJECT_ALT_NAMES USAGE DAYS
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
    printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$3" "$4" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA authority.pem -CAkey authority.key -CAcreateserial -extfile "$1.ext" \
        -days "$5" -out "$1.pem"
}
here=DNS:localhost,IP:127.0.0.1
authority authority
authority stranger
leaf server localhost $here serverAuth 30
leaf other other.example DNS:other.example serverAuth 30
leaf expired localhost $here serverAuth -1
leaf client laptop DNS:laptop clientAuth 30
leaf client2 desktop DNS:desktop clientAuth 30
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout selfsigned.key -out selfsigned.pem \
    -days 30 -subj "/CN=localhost" -addext subjectAltName=$here

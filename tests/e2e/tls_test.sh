# Goal: TLS that other people's programs understand: openssl s_client and s_server, curl, stunnel, each as the other end; the
# striped pair encrypted; and every refusal with its end code and its exit status.
#
# Certificates are made on the spot. Bulk is 64 MiB each way, compared byte for byte.

. "$(dirname "$0")/lib.sh"

size=$((64 * 1024 * 1024))
here=$(cd "$(dirname "$0")" && pwd)
cert=$work/certs

command -v openssl > /dev/null || { echo "skip tls: no openssl program here"; exit 0; }
case $("$BIN/tcp-proxy" --version -v) in
    *"tls: OpenSSL "*) ;;
    *) echo "skip tls: no TLS library here"; exit 0 ;;
esac
mkdir "$cert"
sh "$here/../support/certificates.sh" "$cert" > "$work/certificates.log" 2>&1 || { echo "FAIL tls.certificates"; exit 1; }
head -c $size /dev/urandom > "$work/payload"

# -- what is at the far end --------------------------------------------------------------------------

# A plain server that reads to the end of what it is sent, then sends it all back, then ends: half-close and all.
echo_server() {  # NAME: its address in $address
    local port_file=$work/$1.port
    mkfifo "$port_file"
    start "$1" socat -d -d -t 60 TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr "SYSTEM:f=\$(mktemp $work/echo.XXXXXX); cat > \$f; cat \$f; rm \$f"
    address=
    local try
    for try in $(seq 200); do
        address=$(sed -n 's/.*listening on .* \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$work/$1.log" | head -n 1)
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    return 1
}

there_and_back() {  # ADDRESS: 64 MiB, then FIN, then 64 MiB and FIN
    timeout 60 socat -t 60 - "TCP:$1" < "$work/payload" > "$work/back" && cmp "$work/payload" "$work/back"
}

# -- the pairs ---------------------------------------------------------------------------------------

"$BIN/tcp-striper" keygen > "$work/key"
"$BIN/tcp-striper" keygen > "$work/other.key"
chmod 600 "$work/key" "$work/other.key"

echo_server echo || { echo "FAIL tls.echo_server"; exit 1; }
target=$address
serve terminates "$BIN/tcp-proxy" -r "tls,cert=$cert/server.pem,key=$cert/server.key+tcp://127.0.0.1:0" "$target"
terminating=$address

our_own_pair() { there_and_back "$pair"; }
serve originates "$BIN/tcp-proxy" -r 127.0.0.1:0 "tls,ca=$cert/authority.pem+tcp://$terminating"
pair=$address run tls.pair.64MiB_each_way_and_half_close our_own_pair
serve psk-s "$BIN/tcp-striper" -s 127.0.0.1:0 "$target" --psk-file "$work/key"
server_pid=$started
striped=$address
serve psk-c "$BIN/tcp-striper" -c 127.0.0.1:0 -n 4 "$striped" --psk-file "$work/key"
pair=$address
run tls.striped_psk.64MiB_each_way_and_half_close our_own_pair
# HUP, ten times while bytes pass: nothing is cut, and newcomers are served.
reload_under_load() {  # SERVER'S PID, LOG
    local i client
    there_and_back "$pair" &
    client=$!
    for i in 1 2 3 4 5 6 7 8 9 10; do
        kill -HUP "$1"
        read -r -t 0.1 _ <> "$work/never" || true
    done
    wait $client && grep -q 'reload=done' "$work/$2.log"
}
mkfifo "$work/never"
run tls.striped_psk.reload_under_load reload_under_load "$server_pid" psk-s

# The same with a certificate, and after it another one under the same name: who comes then is shown that.
cp "$cert/server.pem" "$work/served.pem"
cp "$cert/server.key" "$work/served.key"
serve cert-s "$BIN/tcp-striper" -s 127.0.0.1:0 "$target" --tls --cert "$work/served.pem" --key "$work/served.key"
cert_pid=$started
certified=$address
serve cert-c "$BIN/tcp-striper" -c 127.0.0.1:0 -n 4 "$certified" --tls --ca "$cert/authority.pem"
pair=$address
run tls.striped_certificate.reload_under_load reload_under_load "$cert_pid" cert-s
shown() { openssl s_client -connect "$1" < /dev/null 2> /dev/null | openssl x509 -noout -fingerprint; }
newcomers_are_shown_another() {
    local before now try
    before=$(shown "$certified")
    [ -n "$before" ] || return 1
    cp "$cert/client.pem" "$work/served.pem"
    cp "$cert/client.key" "$work/served.key"
    kill -HUP "$cert_pid"
    for try in $(seq 100); do
        now=$(shown "$certified")
        [ -z "$now" ] || [ "$now" = "$before" ] || return 0
        read -r -t 0.05 _ <> "$work/never" || true
    done
    return 1
}
run tls.striped_certificate.newcomers_are_shown_another newcomers_are_shown_another
serve dgm-s "$BIN/tcp-proxy" -s 127.0.0.1:0 "$target" --tls --cert "$cert/server.pem" --key "$cert/server.key" --client-ca "$cert/authority.pem"
mutual=$address
serve dgm-c "$BIN/tcp-proxy" -c 127.0.0.1:0 "$mutual" --tls --ca "$cert/authority.pem" --cert "$cert/client.pem" --key "$cert/client.key"
pair=$address run tls.dgm_mutual.64MiB_each_way_and_half_close our_own_pair

# -- openssl's programs ------------------------------------------------------------------------------

found_port() {  # NAME PATTERN: what the pattern's group finds in NAME's log, in $found
    local try
    for try in $(seq 400); do
        found=$(sed -n "s/.*$2.*/\1/p" "$work/$1.log" | head -n 1)
        [ -z "$found" ] || return 0
        sleep 0.05
    done
    return 1
}

# s_client leaves at the end of its input: the far end answers line by line.
start lines socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr EXEC:cat
found_port lines 'listening on .* \(127\.0\.0\.1:[0-9]*\)'
lines=$found
ask_line() {  # S_CLIENT ARGUMENTS...
    local line
    coproc CLIENT { timeout 20 openssl s_client -quiet "$@" 2> "$work/s_client.err"; }
    echo "line one" >&"${CLIENT[1]}"
    local client=$CLIENT_PID status=0
    read -r -t 20 line <&"${CLIENT[0]}" && [ "$line" = "line one" ] || { cat "$work/s_client.err"; status=1; }
    kill "$client" 2> /dev/null || true
    return $status
}
s_client_verifies() {
    ask_line -verify_return_error -CAfile "$cert/authority.pem" -servername localhost -verify_hostname localhost -connect "$at"
}
s_client_with_a_certificate() { s_client_without -cert "$cert/client.pem" -key "$cert/client.key"; }
s_client_without() { ask_line -CAfile "$cert/authority.pem" "$@" -connect "$at"; }
s_client_is_refused() { ! s_client_without 2> /dev/null; }
s_client_with_a_key() { ask_line -tls1_3 -psk_identity default -psk "$(cat "$work/$1")" -connect "$at"; }
s_client_with_another_key() { ! s_client_with_a_key other.key; }

serve lines-tls "$BIN/tcp-proxy" -r "tls,cert=$cert/server.pem,key=$cert/server.key+tcp://127.0.0.1:0" "$lines"
lines_tls=$address
at=$address run tls.s_client.verifies_us s_client_verifies
serve lines-mutual "$BIN/tcp-proxy" -r "tls,cert=$cert/server.pem,key=$cert/server.key,client-ca=$cert/authority.pem+tcp://127.0.0.1:0" "$lines"
at=$address run tls.s_client.mutual s_client_with_a_certificate
at=$address run tls.s_client.without_a_certificate_is_refused s_client_is_refused
serve lines-psk "$BIN/tcp-proxy" -r "tls,psk=$work/key+tcp://127.0.0.1:0" "$lines"
at=$address run tls.s_client.shared_key s_client_with_a_key key
at=$address run tls.s_client.another_key_is_refused s_client_with_another_key

# New keys, first for one direction, then for both, in the middle of a connection; s_client tells when it has sent each.
s_client_updates_keys() {
    local line wanted status=0
    coproc CLIENT { timeout 20 openssl s_client -CAfile "$cert/authority.pem" -connect "$at" 2>&1; }
    local client=$CLIENT_PID
    next() { while read -r -t 20 line <&"${CLIENT[0]}"; do [[ $line != *"$1"* ]] || return 0; done; return 1; }
    next 'Verify return code: 0' || status=1
    for command in k K; do
        echo $command >&"${CLIENT[1]}"
        next KEYUPDATE || status=1
    done
    echo "line one" >&"${CLIENT[1]}"
    next "line one" || status=1
    kill "$client" 2> /dev/null || true
    return $status
}
at=$lines_tls run tls.s_client.updates_keys s_client_updates_keys
at=$lines_tls run tls.s_client.an_older_version_is_refused eval '! s_client_without -tls1_2 2> /dev/null'
serve lines-tls12 "$BIN/tcp-proxy" -r "tls,tls12,cert=$cert/server.pem,key=$cert/server.key+tcp://127.0.0.1:0" "$lines"
at=$address run tls.s_client.an_older_version_where_it_is_allowed s_client_without -tls1_2

# s_server's own little web server, from behind a relay that ends curl's TLS and begins its own.
start s_server sh -c "cd $work && exec openssl s_server -accept 127.0.0.1:0 -cert $cert/server.pem -key $cert/server.key -WWW -http_server_binmode 1>&2"
found_port s_server 'ACCEPT \(127\.0\.0\.1:[0-9]*\)'
s_server=$found
serve web "$BIN/tcp-proxy" -r "tls,cert=$cert/server.pem,key=$cert/server.key+tcp://127.0.0.1:0" "tls,ca=$cert/authority.pem+tcp://$s_server"
web=$address
curl_downloads() {  # CURL ARGUMENTS...
    timeout 60 curl -sS --noproxy '*' --cacert "$cert/authority.pem" "$@" "https://localhost:${web##*:}/payload" -o "$work/down" &&
        cmp "$work/payload" "$work/down"
}
run tls.curl_to_s_server.64MiB curl_downloads
curl_is_sure() { ! timeout 20 curl -sS --noproxy '*' "https://localhost:${web##*:}/payload" -o /dev/null; }
run tls.curl.does_not_know_our_authority curl_is_sure
curl_tls12() { ! curl_downloads --tls-max 1.2; }
run tls.curl.an_older_version_is_refused curl_tls12

# -- stunnel -----------------------------------------------------------------------------------------

stunnel_() {  # NAME LINES...: on a port of its own, in $address
    local name=$1 try line
    shift
    for try in 1 2 3 4 5 6 7 8 9 10; do
        address=127.0.0.1:$((20000 + RANDOM % 12000))
        { printf 'foreground = yes\npid =\nsyslog = no\ndebug = 5\n[it]\naccept = %s\n' "$address"; printf '%s\n' "$@"; } > "$work/$name.conf"
        start "$name" stunnel "$work/$name.conf"
        found_port "$name" '\(Configuration successful\|Address already in use\)'
        [ "$found" = "Configuration successful" ] && return 0
    done
    return 1
}
if command -v stunnel > /dev/null; then
    stunnel_ stunnel-c "client = yes" "connect = $terminating" "CAfile = $cert/authority.pem" "verifyChain = yes" "checkHost = localhost"
    pair=$address run tls.stunnel.to_us_64MiB_each_way_and_half_close our_own_pair
    stunnel_ stunnel-s "connect = $target" "cert = $cert/server.pem" "key = $cert/server.key"
    serve to-stunnel "$BIN/tcp-proxy" -r 127.0.0.1:0 "tls,ca=$cert/authority.pem+tcp://$address"
    pair=$address run tls.stunnel.from_us_64MiB_each_way_and_half_close our_own_pair
else
    echo "skip tls.stunnel: no stunnel here"
fi

# -- refusals ----------------------------------------------------------------------------------------

# Connects once by a relay of its own, which is to end with status 77, the end code, and the text.
refused() {  # TEXT TARGET_SPEC ARGUMENTS...
    local text=$1 status=0
    shift
    mkfifo "$work/refused.announce"
    timeout 20 "$BIN/tcp-proxy" -1 -r 127.0.0.1:0 "$@" --announce "$work/refused.announce" 2> "$work/refused.log" &
    local relay=$!
    read -r -t 20 line <> "$work/refused.announce"
    rm "$work/refused.announce"
    # What a refused client sends finds out: in TLS 1.3 its own handshake may be over before.
    timeout 20 socat - "TCP:${line##* }" < /dev/null > /dev/null 2>&1
    wait $relay || status=$?
    cat "$work/refused.log"
    [ $status -eq 77 ] && grep -q 'end=auth_failed' "$work/refused.log" && grep -q "$text" "$work/refused.log"
}
server_with() { serve "cert-$1" "$BIN/tcp-proxy" -r "tls,cert=$cert/$1.pem,key=$cert/$1.key+tcp://127.0.0.1:0" "$lines"; }
trust=tls,ca=$cert/authority.pem
for name in other:"made for another" expired:expired selfsigned:self-signed; do
    server_with "${name%%:*}"
    run "tls.refused.${name%%:*}" refused "${name#*:}" "$trust+tcp://$address"
done
run tls.refused.untrusted refused "issuer unknown" "tls+tcp://$terminating"
run tls.refused.wrong_name refused "another name" "$trust,name=example.org+tcp://$terminating"
run tls.refused.wrong_pin refused "pinned" "tls,pin=sha256:47DEQpj8HBSa%2B/TImW%2B5JCeuQeRkm5NMpJWZG3hSuFU=+tcp://$terminating"
serve psk-lines "$BIN/tcp-proxy" -r "tls,psk=$work/key+tcp://127.0.0.1:0" "$lines"
run tls.refused.wrong_key refused "keys of the two ends differ" "tls,psk=$work/other.key+tcp://$address"
run tls.refused.no_key refused "authentication failed" "$trust+tcp://$address"
run tls.refused.no_client_certificate refused "client certificate is required" "dgm+$trust+tcp://$mutual"

# A server whose clients choose where streams go, beyond loopback: with a certificate of the clients', not with one of its own alone.
strangers_choose() {
    local status=0
    timeout 20 "$BIN/tcp-striper" -s 0.0.0.0:0 --tls --cert "$cert/server.pem" --key "$cert/server.key" 2> "$work/strangers.log" || status=$?
    [ $status -eq 78 ] && grep -q 'hint: .*--client-ca' "$work/strangers.log"
}
run tls.refused.targets_for_strangers strangers_choose
known_choose() {
    echo hello | timeout 20 "$BIN/tcp-striper" -q -c - "127.0.0.1:${chosen##*:}" --target "$target" --tls --ca "$cert/authority.pem" \
        --server-name localhost --cert "$cert/client.pem" --key "$cert/client.key" | grep -qx hello
}
serve choosing "$BIN/tcp-striper" -s 0.0.0.0:0 --allow "$target" --tls --cert "$cert/server.pem" --key "$cert/server.key" --client-ca "$cert/authority.pem"
chosen=$address run tls.striped_mutual.target known_choose

# A striped session from stdin, refused by its server.
striped_refusal() {
    local status=0
    echo hello | timeout 20 "$BIN/tcp-striper" -q -c - -n 2 "$strict" --tls --ca "$cert/authority.pem" --connect-timeout 1s "$@" > "$work/got" 2> "$work/striped.log" || status=$?
    cat "$work/striped.log"
    [ $status -eq 77 ] && [ ! -s "$work/got" ] && [ "$(grep -c 'warn tls end=auth_failed' "$work/striped.log")" -eq 1 ] &&
        grep -q 'error: auth: .*client certificate is required' "$work/striped.log"
}
striped_with_a_certificate() {
    [ "$( (echo hello; sleep 1) | timeout 20 "$BIN/tcp-striper" -q -c - -n 2 "$strict" --tls --ca "$cert/authority.pem" --cert "$cert/client.pem" --key "$cert/client.key")" = hello ]
}
serve strict "$BIN/tcp-striper" -s 127.0.0.1:0 "$lines" --tls --cert "$cert/server.pem" --key "$cert/server.key" --client-ca "$cert/authority.pem"
strict=$address
run tls.striped_mutual.without_a_certificate_is_77 striped_refusal
run tls.striped_mutual.with_one_is_served striped_with_a_certificate

# A hint that works: the pin it names.
a_pin_from_the_hint() {
    refused self-signed "$trust+tcp://$selfsigned" > /dev/null
    local pin status=0
    pin=$(sed -n 's/.*add --pin \(sha256:.*\)/\1/p' "$work/refused.log")
    [ -n "$pin" ] || return 1
    serve pinned "$BIN/tcp-proxy" -r 127.0.0.1:0 "tls+tcp://$selfsigned" --pin "$pin" || return 1
    [ "$(echo hello | timeout 20 socat -t 5 - "TCP:$address")" = hello ] || status=1
    kill "$started"  # nobody else knows of it
    return $status
}
server_with selfsigned
selfsigned=$address run tls.a_pin_from_the_hint a_pin_from_the_hint

# -- a hidden library --------------------------------------------------------------------------------

# COMMAND...: in its place, where no library of TLS can be loaded. Takes root.
cat > "$work/without_library" << 'SCRIPT'
#!/bin/sh
exec unshare -m sh -c 'for f in $(ldconfig -p | sed -n "s/.*libssl\.so\.[0-9.]* .*=> //p"); do mount --bind /dev/null "$f"; done; exec "$@"' sh "$@"
SCRIPT
chmod +x "$work/without_library"
hidden_library() {
    local status=0
    "$work/without_library" "$BIN/$1" -c 127.0.0.1:0 "127.0.0.1:1" --tls > /dev/null 2> "$work/hidden.log" || status=$?
    cat "$work/hidden.log"
    [ $status -eq 78 ] && grep -q 'libssl.so.3' "$work/hidden.log" && grep -q 'hint: ' "$work/hidden.log" &&
        "$work/without_library" "$BIN/$1" --version -v | grep -q 'no usable OpenSSL' &&
        "$work/without_library" "$BIN/$1" -c 127.0.0.1:0 127.0.0.1:1 --explain > /dev/null
}
if [ "$(id -u)" -eq 0 ] && unshare -m true 2> /dev/null; then
    run tls.hidden_library.tcp-proxy_says_78 hidden_library tcp-proxy
    run tls.hidden_library.tcp-striper_says_78 hidden_library tcp-striper
    serve hidden-s "$work/without_library" "$BIN/tcp-striper" -s 127.0.0.1:0 "$target"
    serve hidden-c "$work/without_library" "$BIN/tcp-striper" -c 127.0.0.1:0 "$address"
    pair=$address run tls.hidden_library.what_is_plain_works our_own_pair
else
    echo "skip tls.hidden_library: hiding a library takes root"
fi

# A program that has functions of OpenSSL's names already says so beside the library's version.
says_there_is_another() {
    "$BIN/tcp-proxy" --version -v | grep 'tls: OpenSSL' | grep -qv 'beside another' &&
        echo 'void *SSL_new(void *c) { return c; }' | cc -x c -shared -fPIC -o "$work/another.so" - &&
        LD_PRELOAD=$work/another.so "$BIN/tcp-proxy" --version -v | grep -q 'tls: OpenSSL .*, beside another'
}
if command -v cc > /dev/null && ! ldd "$BIN/tcp-proxy" 2> /dev/null | grep -q 'lib[at]san'; then
    run tls.another_in_the_program_is_named says_there_is_another
else
    echo "skip tls.another_in_the_program_is_named: takes a C compiler, and a program without sanitizers"
fi

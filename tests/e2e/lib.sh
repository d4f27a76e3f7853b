# What the end-to-end scripts share. Sourced with BIN set to the folder of the programs.
#
# A script calls `run NAME FUNCTION`; the function returns 0, or 77 after `skip WHY`. Everything started with
# `start` is stopped at the end, by pid. Nothing waits by the clock: ports are announced through FIFOs.

set -u
work=$(mktemp -d)
pids=()

cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2> /dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT

# Not inside a function given to `run`: that runs in a subshell, which would wait for it and forget its pid.
start() {  # NAME COMMAND...: in the background, its stderr in $work/NAME.log; its pid in $started
    local name=$1
    shift
    "$@" < /dev/null > /dev/null 2> "$work/$name.log" &
    started=$!
    pids+=("$started")
}

# Starts one of our programs with --announce and leaves the address it listens at in $address.
serve() {  # NAME COMMAND...
    local name=$1 fifo=$work/$1.announce line
    shift
    mkfifo "$fifo"
    start "$name" "$@" --announce "$fifo"
    address=
    # Opened both ways: opening the reading end alone would wait for a writer that may never come.
    if read -r -t 20 line <> "$fifo"; then address=${line##* }; fi
    rm -f "$fifo"
    [ -n "$address" ] || { echo "$name did not announce its address"; cat "$work/$name.log"; return 1; }
}

run() {  # NAME FUNCTION ARGUMENTS...
    local name=$1 out status
    shift
    out=$(set -e; "$@" 2>&1)
    status=$?
    case $status in
        0) echo "ok $name" ;;
        77) echo "skip $name: ${out##*$'\n'}" ;;
        *) echo "$out"; for f in "$work"/*.log; do echo "--- $f"; tail -n 15 "$f"; done; echo "FAIL $name" ;;
    esac
}

skip() { echo "$*"; return 77; }

# The three kinds of relay to a target address; each leaves the client's address in $address.
relay_raw() { serve "raw-$1" "$BIN/tcp-proxy" -r 127.0.0.1:0 "$2"; }
relay_dgm() {
    serve "dgm-s-$1" "$BIN/tcp-proxy" -s 127.0.0.1:0 "$2" &&
        serve "dgm-c-$1" "$BIN/tcp-proxy" -c 127.0.0.1:0 "$address"
}
relay_striped() {
    serve "striped-s-$1" "$BIN/tcp-striper" -s 127.0.0.1:0 "$2" &&
        serve "striped-c-$1" "$BIN/tcp-striper" -c 127.0.0.1:0 -n 4 "$address"
}

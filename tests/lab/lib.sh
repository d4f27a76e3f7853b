# One transfer in the lab. Sourced with BIN, the folder of the programs under test, and LAB_BIN, that of the lab's own.
#
# The network is made for each transfer and is gone after it: namespaces without a name that the emulator and what runs
# in them hold open. Everything is started from this shell, dies with it, and is ended by pid.

set -u
lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

declare -A rows
row() {  # NAME PATHS BYTES [NAME=VALUE...]
    local name=$1 paths=$2 bytes=$3
    shift 3
    rows[$name]="$paths"$'\n'"$bytes"
    while [ $# -gt 0 ]; do rows[$name]+=$'\n'"$1"; shift; done
}
. "$lab_dir/scenarios.sh"

lab_work=$(mktemp -d)
lab_pids=()
lab_stop() {
    local p
    exec 9>&-
    # Not TERM: what is measured is over, and a graceful end over paths that may be down takes its time.
    for p in "${lab_pids[@]}"; do kill -KILL "$p" 2> /dev/null; done
    for p in "${lab_pids[@]}"; do wait "$p" 2> /dev/null; done
    lab_pids=()
}
lab_end() {
    lab_stop
    rm -rf "$lab_work"
}
trap lab_end EXIT
trap 'exit 143' TERM INT HUP

lab_why_not() {  # says why there can be no lab here, or fails
    if [ "$(id -u)" -ne 0 ]; then echo "it needs root"
    elif [ ! -c /dev/net/tun ]; then echo "there is no /dev/net/tun"
    elif ! unshare -n true 2> /dev/null; then echo "there are no network namespaces"
    elif [ ! -x "$LAB_BIN/lab-emulator" ]; then echo "$LAB_BIN has no lab-emulator (make tools)"
    else return 1; fi
}

lab_spawn() {  # NAME COMMAND...: in the background, gone with this shell; its output in NAME.out, its pid in $lab_last
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" < /dev/null > "$lab_work/$name.out" 2> "$lab_work/$name.log" &
    lab_last=$!
    lab_pids+=("$lab_last")
}
in_client() { nsenter --net="$client_ns" "$@"; }
in_server() { nsenter --net="$server_ns" "$@"; }

lab_line() {  # FILE: its first line, waited for; in $line
    local i
    for i in $(seq 400); do
        if [ -e "$1" ] && read -r line < "$1"; then return 0; fi
        sleep 0.025
    done
    echo "lab: nothing came from $1" >&2
    cat "$lab_work"/*.log >&2
    return 1
}

# A namespace takes only a congestion control that the host lists as allowed, and keeps it when the host no longer does.
lab_congestion() {  # NAME
    local list=/proc/sys/net/ipv4/tcp_allowed_congestion_control allowed got
    modprobe -q "tcp_$1" 2> /dev/null
    exec 7> /run/lock/tcp-striper-lab
    flock 7
    allowed=$(cat $list)
    case " $allowed " in
        *" $1 "*) ;;
        *) echo "$allowed $1" > $list ;;
    esac
    for ns in "$client_ns" "$server_ns"; do
        got=$(nsenter --net="$ns" sh -c "echo $1 > /proc/sys/net/ipv4/tcp_congestion_control; cat /proc/sys/net/ipv4/tcp_congestion_control")
        [ "$got" = "$1" ] || { echo "lab: asked for $1, the namespace stays with $got" >&2; break; }
    done
    [ "$(cat $list)" = "$allowed" ] || echo "$allowed" > $list
    exec 7>&-
    [ "$got" = "$1" ]
}

lab_expand() {  # PATHS: 4x... written out
    local p n
    for p in $1; do
        n=1
        case $p in [0-9]x*) n=${p%%x*} p=${p#*x} ;; esac
        for _ in $(seq "$n"); do printf '%s ' "$p"; done
    done
}

# Path P is 10.77.P.0/24, the client .1, the server .2. What the client sends from 10.77.P.1 takes path P wherever it goes.
lab_network() {  # CONGESTION PATH...
    local congestion=$1 side ns p
    shift
    lab_count=$#
    mkfifo "$lab_work/control"
    exec 9<> "$lab_work/control"
    setpriv --pdeathsig KILL "$LAB_BIN/lab-emulator" "$@" < "$lab_work/control" > "$lab_work/emulator.out" 2> "$lab_work/emulator.log" 9>&- &
    lab_emulator=$!
    lab_pids+=("$lab_emulator")
    lab_line "$lab_work/emulator.out" || return 1
    set -- $line
    client_ns=/proc/$2/fd/$3 server_ns=/proc/$2/fd/$4
    for side in 1 2; do
        ns=$client_ns
        [ $side -eq 1 ] || ns=$server_ns
        {
            echo "link set lo up"
            for p in $(seq "$lab_count"); do
                echo "addr add 10.77.$p.$side/24 dev path$p"
                echo "link set path$p up mtu 1500 txqueuelen 10000"
                [ $side -ne 1 ] || echo "rule add from 10.77.$p.1 lookup $((100 + p))"
                [ $side -ne 1 ] || echo "route add default dev path$p table $((100 + p))"
            done
        } > "$lab_work/batch"
        nsenter --net="$ns" sh -c '
            cd /proc/sys/net
            echo 1 > ipv6/conf/all/disable_ipv6
            echo 1 > ipv4/tcp_no_metrics_save
            echo 2 > ipv4/conf/all/rp_filter
            exec ip -batch "$1"' sh "$lab_work/batch" || return 1
    done
    lab_congestion "$congestion"
}

lab_mptcp() {  # BEST: a subflow over every path
    local p
    in_client ip mptcp limits set subflow 8 add_addr_accepted 8
    in_server ip mptcp limits set subflow 8 add_addr_accepted 8
    for p in $(seq "$lab_count"); do
        [ "$p" -eq "$1" ] || in_client ip mptcp endpoint add "10.77.$p.1" dev "path$p" subflow
    done
}

striper_pids=()
lab_striper() {  # PATH_OPTIONS: a pair, client 127.0.0.1:8000, target 127.0.0.1:9000
    local paths=() p
    lab_spawn striper-server nsenter --net="$server_ns" "$BIN/tcp-striper" ${STRIPER_LOG--q} ${SERVER_ARGS-} \
        -s "${server_scheme-}0.0.0.0:7000${server_options-}" 127.0.0.1:9000 --announce "$lab_work/server.announce"
    striper_pids=("$lab_last")
    lab_line "$lab_work/server.announce" || return 1
    for p in $(seq "$lab_count"); do paths+=("tcp://10.77.$p.2:7000,bind=10.77.$p.1,name=path$p$1"); done
    lab_spawn striper-client nsenter --net="$client_ns" "$BIN/tcp-striper" ${STRIPER_LOG--q} -n "${SUBFLOWS:-8}" ${CLIENT_ARGS-} \
        -c 127.0.0.1:8000 "${paths[@]}" --announce "$lab_work/client.announce"
    striper_pids+=("$lab_last")
    lab_line "$lab_work/client.announce"
}

# A daemon has its subflows before anybody comes.
lab_settle() {
    local deadline=$((SECONDS + 10)) up
    while :; do
        up=$(in_server ss -Htn state established 'sport = :7000' | wc -l)
        [ "$up" -lt "${SUBFLOWS:-8}" ] || break
        [ $SECONDS -lt $deadline ] || { echo "lab: $up subflows after 10 s" >&2; return 1; }
        sleep 0.05
    done
    sleep 0.5  # their handshakes
}

cpu_of() {  # PIDS: user and system seconds
    local p
    for p in "$@"; do cat "/proc/$p/stat" 2> /dev/null; done |
        awk -v hz="$(getconf CLK_TCK)" '{sub(/^.*\) /, ""); t += $12 + $13} END {printf "%.3f", t / hz}'
}

field() {  # JSON NAME: of flat JSON, a number or word
    sed -n "s/.*\"$2\": \([^,}]*\).*/\1/p" <<< "$1" | head -n 1
}

lab_sum() {  # STATS NAME...: over all paths and directions
    local stats=$1 pattern
    shift
    pattern=$(IFS='|'; echo "$*")
    grep -oE "\"($pattern)\": [0-9]+" <<< "$stats" | awk '{t += $2} END {print t + 0}'
}

# lab_run ROW CONTENDER: one transfer; a line of JSON in $result. Fails when the transfer did.
lab_run() {
    local name=$1 contender=$2 direction=up paths bytes best=1 limit= ideal=t events= cc=cubic echo= cold= warm= idle= stop= timeout=${TIMEOUT:-180}
    local option scheme=
    local -a lines
    case $name in *-down) direction=down name=${name%-down} ;; esac
    [ -n "${rows[$name]-}" ] || { echo "lab: no such scenario: $1 (there are: ${!rows[*]})" >&2; return 2; }
    mapfile -t lines <<< "${rows[$name]}"
    paths=$(lab_expand "${lines[0]}") bytes=${BYTES:-${lines[1]}}
    for option in "${lines[@]:2}"; do local "${option%%=*}=${option#*=}"; done
    case $bytes in *M) bytes=$((${bytes%M} * 1048576)) ;; esac
    [ -n "$limit" ] || limit=$(tr ' ' '\n' <<< "$paths" | awk -F'[/:]' '{t += $1} END {print t}')
    limit=$(awk "BEGIN {print $limit * 1448 / 1500}")

    rm -rf "$lab_work"/*
    local congestion=${CC:-$cc} path_options=${PATH_OPTS-}
    server_options= server_scheme=
    # The striped pair is asked for it by an option of its paths, if it has one; the namespaces stay with cubic.
    if [ "$contender" = striped ] && [ "$congestion" != cubic ] &&
        "$BIN/tcp-striper" -c 127.0.0.1:1 "tcp://127.0.0.1:1,cc=$congestion" --explain > /dev/null 2>&1; then
        path_options+=,cc=$congestion server_scheme=tcp:// server_options=,cc=$congestion congestion=cubic
    fi
    lab_network "$congestion" $paths || return 1
    local host=127.0.0.1 port=9000 serve_options= run_options= before=0
    case $contender in
        tcp) host=10.77.$best.2 run_options="bind=10.77.$best.1" ;;
        mptcp) host=10.77.$best.2 run_options="bind=10.77.$best.1 mptcp=1" serve_options=mptcp; lab_mptcp "$best" ;;
        striped) port=8000 ;;
    esac
    lab_spawn transfer-server nsenter --net="$server_ns" "$LAB_BIN/lab-transfer" serve 9000 $serve_options
    lab_line "$lab_work/transfer-server.out" || return 1
    if [ "$contender" = striped ]; then
        lab_striper "$path_options" || return 1
        [ -n "$cold" ] || lab_settle || return 1
    fi
    [ -z "$echo" ] || run_options+=" echo=1"
    [ -z "$warm" ] || run_options+=" warm=$warm idle=$idle"
    [ "$contender" != striped ] || before=$(cpu_of "${striper_pids[@]}")
    lab_spawn transfer nsenter --net="$client_ns" "$LAB_BIN/lab-transfer" run $host $port $direction "$bytes" $run_options "timeout=$timeout"
    local transfer=$lab_last status line after=0 extra cpu
    [ -z "$events" ] || tr ';' '\n' <<< "$events" >&9
    if [ -n "$stop" ] && [ "$contender" = striped ]; then
        sleep 0.5
        kill -STOP "${striper_pids[0]}"
        sleep "$stop"
        kill -CONT "${striper_pids[0]}"
    fi
    wait "$transfer"
    status=$?
    line=$(cat "$lab_work/transfer.out")
    [ "$contender" != striped ] || after=$(cpu_of "${striper_pids[@]}")
    echo stats >&9
    sleep 0.05
    local stats
    stats=$(tail -n 1 "$lab_work/emulator.out")
    extra=$(awk "BEGIN {printf \"%.2f\", ($(field "$stats" "${direction}_payload") / ($bytes + ${warm:-0}) - 1) * 100}")
    cpu=$(awk "BEGIN {printf \"%.2f\", ($after - $before) / ($bytes + ${warm:-0}) * 1e9}")
    result="{\"scenario\": \"$1\", \"contender\": \"$contender\", \"limit_mbit\": $limit"
    if [ $status -eq 0 ]; then
        result+=$(awk -v seconds="$(field "$line" seconds)" -v t="$(awk "BEGIN {print $bytes * 8 / 1e6 / $limit}")" \
            "BEGIN {best = $ideal; printf \", \\\"fraction\\\": %.3f, \\\"ideal_seconds\\\": %.2f\", best / seconds, best}")
        result+=", \"extra_pct\": $extra, \"dropped\": $(lab_sum "$stats" lost silenced overflowed), \"resets\": $(lab_sum "$stats" resets)"
        [ "$contender" != striped ] || result+=", \"cpu_s_per_gb\": $cpu"
    fi
    result+=", ${line#\{}"
    if [ -n "${KEEP-}" ]; then
        mkdir -p "$KEEP"
        for f in "$lab_work"/*.log; do cp "$f" "$KEEP/$1.$contender.$(basename "$f")"; done
        echo "$result" > "$KEEP/$1.$contender.result.json"
        echo "$stats" > "$KEEP/$1.$contender.emulator.json"
    fi
    if [ $status -ne 0 ]; then
        echo "lab: $1 $contender failed: $line" >&2
        tail -n 5 "$lab_work"/*.log >&2
    fi
    lab_stop
    return $status
}

# Goal: real ssh and scp sessions, unchanged, through each kind of relay: a raw one, a datagram pair, a striped pair.
#
# sshd runs on a port of its own with throw-away keys. Each relay carries a command, 64 MiB each way
# with checksums, twenty sessions at once, a session whose input ends before its output, and an exit status.

. "$(dirname "$0")/lib.sh"

size=$((64 * 1024 * 1024))

start_sshd() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$work/user_key"
    cp "$work/user_key.pub" "$work/authorized_keys"
    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    local try line
    for try in 1 2 3 4 5 6 7 8 9 10; do
        sshd_port=$((20000 + RANDOM % 12000))
        cat > "$work/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$sshd_port
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
CONFIG
        mkfifo "$work/sshd.fifo"
        /usr/sbin/sshd -D -e -f "$work/sshd_config" < /dev/null 2> "$work/sshd.fifo" &
        pids+=($!)
        exec 9< "$work/sshd.fifo"
        rm -f "$work/sshd.fifo"
        while read -r -t 20 line <&9; do
            case $line in
                *"Server listening"*)
                    cat <&9 > "$work/sshd.log" &
                    pids+=($!)
                    return 0 ;;
            esac
        done
        exec 9<&-
    done
    echo "sshd did not start: $line"
    return 1
}

client_config() {  # ADDRESS: writes an ssh_config with the host `relay`
    cat > "$work/ssh_config" <<CONFIG
Host relay
    HostName ${1%:*}
    Port ${1##*:}
    User $(id -un)
    IdentityFile $work/user_key
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    ConnectTimeout 20
    BatchMode yes
CONFIG
}
ssh_() { timeout 60 ssh -F "$work/ssh_config" "$@"; }

a_command() { [ "$(ssh_ relay echo through "\$((6 * 7))" < /dev/null)" = "through 42" ]; }

an_exit_status() {
    local status=0
    ssh_ relay exit 23 < /dev/null || status=$?
    [ $status -eq 23 ]
}

scp_each_way() {
    timeout 120 scp -q -F "$work/ssh_config" "$work/payload" "relay:$work/up" &&
        timeout 120 scp -q -F "$work/ssh_config" "relay:$work/payload" "$work/down" &&
        cmp "$work/payload" "$work/up" && cmp "$work/payload" "$work/down" &&
        rm -f "$work/up" "$work/down"
}

twenty_at_once() {
    local jobs=() i failed=0
    for i in $(seq 20); do
        (
            want=$(head -c $((i * 50000)) "$work/payload" | sha256sum)
            got=$(head -c $((i * 50000)) "$work/payload" | ssh_ relay sha256sum)
            [ "$want" = "$got" ]
        ) &
        jobs+=($!)
    done
    for i in "${jobs[@]}"; do wait "$i" || failed=$((failed + 1)); done
    echo "$failed of 20 failed"
    [ $failed -eq 0 ]
}

# A dialogue, then the client's input ends; what the far command still has to say must arrive.
half_close() {
    local line
    coproc FAR { ssh_ relay 'while read -r l; do echo "echo $l"; done; echo bye; head -c 2000000 /dev/zero'; }
    local far=$FAR_PID out=${FAR[0]}
    echo hello >&"${FAR[1]}"
    read -r -t 30 line <&"$out" && [ "$line" = "echo hello" ] || return 1
    echo again >&"${FAR[1]}"
    read -r -t 30 line <&"$out" && [ "$line" = "echo again" ] || return 1
    exec {rest}<&"$out"
    eval "exec ${FAR[1]}>&-"
    read -r -t 30 line <&"$rest" && [ "$line" = "bye" ] || return 1
    [ "$(timeout 30 cat <&"$rest" | wc -c)" -eq 2000000 ] && wait "$far"
}

command -v ssh > /dev/null && [ -x /usr/sbin/sshd ] || { echo "skip ssh: no sshd or ssh here"; exit 0; }
head -c $size /dev/urandom > "$work/payload"
start_sshd || { echo "FAIL sshd"; exit 1; }

for kind in raw dgm striped; do
    if ! "relay_$kind" ssh "127.0.0.1:$sshd_port"; then
        echo "FAIL ssh.$kind.start"
        continue
    fi
    client_config "$address"
    run "ssh.$kind.command" a_command
    run "ssh.$kind.exit_status" an_exit_status
    run "ssh.$kind.scp_64MiB_each_way" scp_each_way
    run "ssh.$kind.twenty_at_once" twenty_at_once
    run "ssh.$kind.half_close" half_close
done

# The README's ProxyCommand: the striped pair's client end on stdin and stdout.
proxy_command() {
    [ "$(ssh_ -o ProxyCommand="$BIN/tcp-striper -q -c - $address" relay echo out < /dev/null)" = out ]
}
if serve proxy "$BIN/tcp-striper" -s 127.0.0.1:0 "127.0.0.1:$sshd_port"; then
    run ssh.striped.proxy_command proxy_command
else
    echo "FAIL ssh.striped.proxy_command.start"
fi

# One server, and ssh says where to: to what is allowed, by address and by name, and nowhere else.
chosen() {  # HOST: as ssh's own proxy
    ssh_ -o ProxyCommand="$BIN/tcp-striper -q -c - $address --target %h:%p" -o HostName="$1" -o Port="$sshd_port" relay echo out < /dev/null
}
chosen_by_address() { [ "$(chosen 127.0.0.1)" = out ]; }
chosen_by_name() { [ "$(chosen localhost)" = out ]; }
chosen_denied() {
    ! chosen 127.0.0.2 && grep -q "end=acl_denied .* dst=127.0.0.2:$sshd_port " "$work/chosen.log"
}
chosen_denied_by_default() {
    ! chosen localhost && grep -q "end=acl_denied .* dst=localhost:$sshd_port .* why=\".* is not public" "$work/default.log"
}
if serve chosen "$BIN/tcp-striper" -s 127.0.0.1:0 --allow "127.0.0.1:$sshd_port"; then
    run ssh.striped.target_by_address chosen_by_address
    run ssh.striped.target_by_name chosen_by_name
    run ssh.striped.target_denied chosen_denied
else
    echo "FAIL ssh.striped.target.start"
fi
if serve default "$BIN/tcp-striper" -s 127.0.0.1:0; then
    run ssh.striped.target_denied_by_default chosen_denied_by_default
else
    echo "FAIL ssh.striped.target_by_default.start"
fi

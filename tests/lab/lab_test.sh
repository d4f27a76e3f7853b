# Goal: what striping is for, over real TCP on paths that are capped, cut, frozen, silent and come back: in every check the
# bytes arrive exactly once and in order, to the end; and the transfer does not wait for a dead path.
#
# Thresholds of time are wide, because the machine may be busy with other things; `make bench-lab` has the figures.
# Run with BIN set to the folder of the programs. Skips without root, /dev/net/tun or the lab's programs.

cd "$(dirname "$0")/../.." || exit 1
BIN=$(cd "${BIN:-build/bin}" && pwd) LAB_BIN=${LAB_BIN:-$BIN}
. tests/lab/lib.sh
if why=$(lab_why_not); then
    echo "skip the network lab: $why"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

# Time for one transfer: the longest lasts 8 s on an idle machine.
TIMEOUT=60
passed=0 failed=0

# WHAT ROW CONTENDER CONDITION: an awk expression over fraction, gap (ms), p50 (ms), resets, dropped. A transfer of a second whose machine
# stands still for a quarter of it shows nothing about rates and delays: those are measured again, twice. A transfer that fails is not tried again.
check() {
    local what=$1 verdict=FAIL tries=1
    if [[ $4 == *fraction* || $4 == *p50* ]]; then tries=3; fi
    result=
    while [ $verdict = FAIL ] && [ $((tries--)) -gt 0 ] && lab_run "$2" "$3" 2> "$lab_work.err"; do
        verdict=$(awk -v fraction="$(field "$result" fraction)" -v gap="$(field "$result" longest_gap_ms)" \
            -v p50="$(field "$result" echo_p50_ms)" -v resets="$(field "$result" resets)" \
            -v dropped="$(field "$result" dropped)" "BEGIN {print ($4) ? \"ok\" : \"FAIL\"}")
    done
    echo "$verdict $what"
    if [ "$verdict" = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "     wanted $4"
        echo "     got $result"
        cat "$lab_work.err"
    fi
    rm -f "$lab_work.err"
}

check "the lab keeps a rate: plain TCP comes near to it"                 quick-rate           tcp     "fraction > 0.5 && fraction <= 1.001"
check "the lab keeps a delay: an echo alone takes a round trip"          quick-delay          tcp     "p50 >= 40 && p50 < 50"
check "eight subflows beat a cap on each flow"                           quick-capped         striped "fraction >= 0.4"
check "four equal paths carry what two could not"                        quick-equal4         striped "fraction > 0.5"
check "four equal paths carry what two could not, downwards"             quick-equal4-down    striped "fraction > 0.5"
check "all but one path's connections cut, one after another"            quick-cut            striped "resets >= 3"
check "every connection cut at once: the session lives on"               quick-cut-all        striped "resets >= 4"
check "every connection cut, and refused for a second"                   quick-refused        striped "resets >= 4"
check "a frozen path that thaws"                                         quick-freeze         striped "gap < 5000"
check "the server stopped for 3 s"                                       quick-stop           striped "gap >= 2000"
check "every path silent for 3 s"                                        quick-outage         striped "gap >= 2500"
check "every path silent for 3 s, downwards"                             quick-outage-down    striped "gap >= 2500"
check "one path of four falls silent: no waiting for it"                 quick-blackhole      striped "gap < 1000 && dropped > 0"
check "one path of four falls silent, downwards"                         quick-blackhole-down striped "gap < 1000 && dropped > 0"
check "the fastest path falls silent"                                    quick-hole-fast      striped "gap < 2000 && dropped > 0"
check "the slowest path falls silent"                                    quick-hole-slow      striped "gap < 2000 && dropped > 0"
check "a path falls silent with the last bytes on it"                    quick-hole-tail      striped "gap < 1000"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]

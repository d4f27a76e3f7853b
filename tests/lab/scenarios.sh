# The rows of the lab's table. Sourced.
#
#   row NAME PATHS BYTES [NAME=VALUE...]
#
#   PATHS      as lab-emulator takes them: Mbit/s / ms one way / queue, 4x in front for four alike
#   best=N     the path that a plain connection takes (the first)
#   limit=M    Mbit/s that count as 1.0, before headers (the sum of the paths' rates)
#   ideal=E    the seconds an ideal transfer takes, in terms of t, the seconds it takes undisturbed (t)
#   events=E   commands to the emulator when the transfer begins, ";" between them
#   cc=NAME    congestion control of the subflows, and of the other contenders
#   cold=1     the transfer begins together with the striped pair; else that has its subflows already, as a daemon has
#   echo=1  warm=BYTES  idle=SECONDS      as lab-transfer takes them
#   stop=S     the striped pair's server is stopped (SIGSTOP) for S seconds, half a second into the transfer
#
# Every row also exists as NAME-down, the same from server to client.

row capped    "0/20/0,flow=10"                                                60M limit=80
row equal4    "4x20/20/256K"                                                  60M
row unequal4  "40/10/256K 20/30/256K 10/60/256K 5/100/256K"                   60M
row skewed    "50/5/256K 2/150/256K"                                          60M
row queues    "20/10/64K 20/10/2M"                                            60M
row lossy     "20/20/256K 20/20/256K,loss=1% 20/20/256K,loss=0.2% 20/20/256K" 60M
row lossy-bbr "20/20/256K 20/20/256K,loss=1% 20/20/256K,loss=0.2% 20/20/256K" 60M cc=bbr
row jitter    "3x50/20/1M,jitter=100"                                         60M
row blackhole "4x20/20/256K"                                                  60M "events=in 2 path 2 down" "ideal=2+(t-2)*4/3"
row outage    "4x20/20/256K"                                                  60M "events=in 2 path all down;in 12 path all up" "ideal=t+10"
row echo      "40/10/256K 20/30/256K 10/60/256K 5/100/256K"                   60M echo=1
row short     "4x20/20/256K"                                                  1M cold=1
row short-warm "4x20/20/256K"                                                 1M warm=8388608 idle=1

# What the tests add: small, and with trouble.
row quick-rate       "40/20/256K"         8M
row quick-delay      "0/20/0"             1M echo=1
row quick-capped     "0/10/0,flow=20"     12M limit=160
row quick-equal4     "4x40/10/256K"       12M
row quick-cut        "4x40/10/256K"       16M "events=after 4M path 2 cut;after 7M path 3 cut;after 10M path 4 cut"
row quick-cut-all    "4x40/10/256K"       16M "events=after 6M path all cut"
row quick-refused    "4x40/10/256K"       16M "events=after 6M path all refuse;after 6M in 1 path all up" "ideal=t+1"
row quick-freeze     "4x40/10/256K"       16M "events=after 6M path 1 freeze;after 6M in 0.5 path 1 up"
row quick-stop       "4x40/10/256K"       16M stop=3 "ideal=t+3"
row quick-outage     "4x40/10/256K"       16M "events=after 6M path all down;after 6M in 3 path all up" "ideal=t+3"
row quick-blackhole  "4x20/10/128K"       12M "events=after 5M path 2 down"
row quick-hole-fast  "40/10/256K 20/30/256K 10/60/256K" 12M "events=after 5M path 1 down"
row quick-hole-slow  "40/10/256K 20/30/256K 10/60/256K" 12M "events=after 5M path 3 down"
row quick-hole-tail  "4x20/10/128K"       12M "events=after 12200K path 2 down"

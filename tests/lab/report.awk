# First file: the rows in order, "NAME TAB PATHS". Second: a line of JSON for every transfer. Tables go to the output, the
# chart to the file `chart`. A transfer that failed counts as a fraction of 0 and is named.

BEGIN {
    split("tcp mptcp striped", who, " ")
    label["tcp"] = "plain TCP, best path"; colour["tcp"] = "#9aa5b1"
    label["mptcp"] = "kernel MPTCP";       colour["mptcp"] = "#d99a3c"
    label["striped"] = "tcp-striper";      colour["striped"] = "#2f7fd1"
    figures = "fraction first_byte_ms longest_gap_ms extra_pct cpu_s_per_gb echo_p50_ms echo_p99_ms seconds"
}

FNR == NR {
    split($0, column, "\t")
    names[++count] = column[1]
    gsub(/ /, " + ", column[2])
    gsub(/, \+ down/, ", down", column[2])
    paths[column[1]] = column[2]
    next
}

{
    row = field("scenario")
    k = field("contender")
    measured[row] = 1
    if (field("limit_mbit") != "") limit[row] = field("limit_mbit")
    if (++runs[row, k] > rounds) rounds = runs[row, k]
    if (field("ok") != "true") {
        failed[row, k]++
        noted[row, k, "fraction"] = noted[row, k, "fraction"] " 0"
        next
    }
    n = split(figures, name, " ")
    for (i = 1; i <= n; i++) noted[row, k, name[i]] = noted[row, k, name[i]] " " field(name[i])
}

END {
    print "![goodput as a fraction of the limit](tests/lab/chart.svg)\n"
    printf "%s, %d cores, Linux %s. Three figures in a cell: plain TCP / kernel MPTCP / tcp-striper.\n\n", rounds == 1 ? "One round" : "Medians of " rounds " interleaved rounds", cores, kernel
    print "| scenario | paths | limit Mbit/s | plain TCP | kernel MPTCP | tcp-striper | first byte ms | longest gap ms | duplicates and framing % | CPU s/GB of the pair |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= count; i++) if (bulk(names[i])) print_bulk(names[i])
    print_small()
    draw()
}

function field(name,   at, rest) {
    at = index($0, "\"" name "\": ")
    if (!at) return ""
    rest = substr($0, at + length(name) + 4)
    sub(/[,}].*/, "", rest)
    gsub(/"/, "", rest)
    return rest
}

function bulk(row) { return measured[row] && row !~ /^(short|quick)/ }

function median(text,   v, n, i, j, t) {
    n = split(text, v, " ")
    if (!n) return "-"
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return v[int((n + 1) / 2)] + 0
}

function shown(row, k, what, format,   m) {
    m = median(noted[row, k, what])
    return m == "-" ? "-" : sprintf(format, m)
}

function three(row, what, format) {
    return shown(row, "tcp", what, format) " / " shown(row, "mptcp", what, format) " / " shown(row, "striped", what, format)
}

function goodput(row, k,   text) {
    text = shown(row, k, "fraction", "%.2f")
    return failed[row, k] ? text " (" failed[row, k] " of " runs[row, k] " failed)" : text
}

function print_bulk(row) {
    printf "| %s | %s | %.1f | %s | %s | **%s** | %s | %s | %s | %s |\n", row, paths[row], limit[row], \
        goodput(row, "tcp"), goodput(row, "mptcp"), goodput(row, "striped"), three(row, "first_byte_ms", "%.0f"), \
        three(row, "longest_gap_ms", "%.0f"), three(row, "extra_pct", "%.1f"), shown(row, "striped", "cpu_s_per_gb", "%.1f")
}

function print_small(   i, row, text) {
    for (i = 1; i <= count; i++) {
        row = names[i]
        if (!measured[row]) continue
        if (row ~ /^short/)
            text = text sprintf("| %s: 1 MiB, %s | %s |\n", row, paths[row], thousand(row))
        if (row ~ /^echo/)
            text = text sprintf("| %s: 64 bytes there and back beside the bulk, p50 | %s |\n| the same, p99 | %s |\n", row, \
                three(row, "echo_p50_ms", "%.0f"), three(row, "echo_p99_ms", "%.0f"))
    }
    if (text != "") printf "\n| milliseconds | plain TCP / kernel MPTCP / tcp-striper |\n|---|---|\n%s", text
}

function thousand(row,   k, m, text) {  # seconds as ms
    for (k = 1; k <= 3; k++) {
        m = median(noted[row, who[k], "seconds"])
        text = text (k > 1 ? " / " : "") (m == "-" ? "-" : sprintf("%.0f", m * 1000))
    }
    return text
}

function draw(   i, k, x, y, n, f, left, top, width, step, height) {
    for (i = 1; i <= count; i++) n += bulk(names[i])
    left = 130; top = 46; width = 500; step = 58; height = top + n * step + 30
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 %d\" width=\"700\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n", height > chart
    print "<title>Goodput as a fraction of what the paths can carry together</title>" > chart
    print "<style>text { fill: #24292f } line { stroke: #d0d7de } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } line { stroke: #3d444d } }</style>" > chart
    x = left
    for (k = 1; k <= 3; k++) {
        printf "<rect x=\"%d\" y=\"10\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"21\">%s</text>\n", \
            x, colour[who[k]], x + 18, label[who[k]] > chart
        x += 45 + 7 * length(label[who[k]])
    }
    for (k = 0; k <= 4; k++) {
        x = left + width * k / 4
        printf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", \
            x, top - 10, x, height - 26, x, height - 8, k / 4 > chart
    }
    y = top
    for (i = 1; i <= count; i++) {
        if (!bulk(names[i])) continue
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", left - 10, y + 26, names[i] > chart
        for (k = 1; k <= 3; k++) {
            f = median(noted[names[i], who[k], "fraction"])
            if (f == "-") continue
            printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"13\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\" font-size=\"11\">%.2f</text>\n", \
                left, y + (k - 1) * 15, f * width, colour[who[k]], left + f * width + 5, y + (k - 1) * 15 + 11, f > chart
        }
        y += step
    }
    print "</svg>" > chart
}

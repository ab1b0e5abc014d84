# A row of the table: the medians of a row's rounds (lines of escrowfs, floor, peer; - for none), and how
# each of its targets is met. A ratio is the median of the rounds' ratios, for what disturbs a round
# disturbs both sides of it; the spread is how far apart the highest and the lowest are, in percent of it.
# Variables: section, name, unit, peer, targets ("floor>=0.9 peer<=0.2"), results; heading=1: the heading.

{ for (i = 1; i <= 3; i++) sample[i, NR] = $i }

function sort_into(values, n,    i, j, v) {
	for (i = 2; i <= n; i++) {
		v = values[i]
		for (j = i - 1; j >= 1 && values[j] > v; j--) values[j + 1] = values[j]
		values[j + 1] = v
	}
}

# Of column a, or of the ratio of columns a and b; sets spread.
function median(a, b,    i, values, middle) {
	for (i = 1; i <= NR; i++) values[i] = b ? sample[a, i] / sample[b, i] : sample[a, i] + 0
	sort_into(values, NR)
	middle = NR % 2 ? values[(NR + 1) / 2] : (values[NR / 2] + values[NR / 2 + 1]) / 2
	spread = middle ? 100 * (values[NR] - values[1]) / middle : 0
	return middle
}

function number(v,    digits, text) {
	if (v < 100)
		return sprintf(v < 10 ? "%.2f" : "%.1f", v)
	text = sprintf("%.0f", v)
	for (digits = ""; length(text) > 3; text = substr(text, 1, length(text) - 3))
		digits = "," substr(text, length(text) - 2) digits
	return text digits
}

# (Neither may change the spread of a ratio.)
function raw(i,    kept, v) {
	kept = spread
	v = sample[i, 1] == "-" ? "-" : median(i)
	spread = kept
	return v
}

function column(i,    v) {
	v = raw(i)
	return v == "-" ? v : number(v)
}

function percent() { return sprintf("%.0f%%", spread) }

function line(operation, e, f, p, ratio, target, spread, met) {
	printf "%-52s %11s %11s %20s %7s %7s %7s  %s\n", operation, e, f, p, ratio, target, spread, met
}

# Takes a target apart: to, sense, limit; ratio, spread; how many times better than the target.
function judge(target) {
	match(target, /[<>]=/)
	to = substr(target, 1, RSTART - 1)
	sense = substr(target, RSTART, 2)
	limit = substr(target, RSTART + 2) + 0
	ratio = to == "value" ? median(1) : median(1, to == "peer" ? 3 : 2)
	return sense == ">=" ? ratio / limit : limit / ratio
}

# The rows of the table for targets of which one will do; the better one goes to the results.
function told(alternatives, first,    n, list, i, best, met) {
	if (sample[3, 1] == "-")
		gsub(/(^|\|)peer[^|]*/, "", alternatives)
	n = split(alternatives, list, "|")
	if (!n)
		return
	for (i = 1; i <= n; i++)
		if (!best || judge(list[i]) > judge(best))
			best = list[i]
	met = judge(best) >= 1 ? "yes" : "no"
	for (i = 1; i <= n; i++) {
		judge(list[i])
		if (first && i == 1)
			line(name ", " unit, column(1), column(2), column(3) (sample[3, 1] == "-" ? "" : " " peer),
				to == "value" ? "" : number(ratio), sense limit, percent(), met)
		else
			line("    " (i > 1 ? "or " : "") "of " peer, "", "", "", number(ratio), sense limit, percent(), i > 1 ? "" : met)
	}
	judge(best)
	print section, name, unit, raw(1), raw(2), raw(3), peer, ratio, to, sense, limit, spread, met >>results
}

END {
	OFS = "\t"
	if (heading) {
		print ""
		line(section == "pinned" ? "PINNED to one processor" : "FREE on all processors", "escrowfs", "floor",
			"peer", "ratio", "target", "spread", "met")
		exit
	}
	n = split(targets, list, " ")
	for (t = 1; t <= n; t++) told(list[t], t == 1)
}

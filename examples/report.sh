#!/bin/sh
# Lists the devices that have no token, or one that may not work any more, oldest enrolment first.
#
#   report.sh
#   report.sh | column -t -s "$(printf '\t')"
#   report.sh --csv --days 14 >tickets.csv
#
# Columns, with tabs between them: enrolled, status, serial number, UDID, the first reason.
# Devices that can't have a token (not_supported) and those that left (unenrolled) aren't listed.
#
#   --csv      for a ticket system (needs jq): a header, quotes as in RFC 4180, one line a device: enrolled,
#              status, serial number, UDID, model, system's version, all reasons. What a device says of itself
#              begins no formula in a spreadsheet: there an apostrophe stands before it.
#   --days N   only those that were enrolled, the last time, more than N days ago (needs jq)
#
# Times are UTC. Exit: 0 none is missing; 1 some are; 2 the escrow can't be read.
# ESCROW is where the escrow is mounted; /mnt/escrow unless set.
set -u
me=${0##*/}
escrow=${ESCROW:-/mnt/escrow}
form=plain
before=

die() {
	echo "$me: $*" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--csv) form=csv ;;
	--days)
		case ${2:-} in
		'' | *[!0-9]*) die "--days takes a number of days" ;;
		esac
		before=$(date -u -d "-$2 days" +%Y-%m-%dT%H:%M:%S) || exit 2
		shift
		;;
	*) die "usage: $me [--csv] [--days N]" ;;
	esac
	shift
done

# The UDIDs, a line each.
missing() {
	for status in not_escrowed not_eligible stale; do
		ls -f "$escrow/search/status/$status" || return 2
	done | grep -vx '\.\.\?'
}

# security.json has one key a line, in a fixed order and indent, so that awk can read it.
by_awk() {
	awk -v devices="$escrow/devices" '
		function value(line) {
			sub(/^ *("[^"]*": )?"/, "", line)
			sub(/",?$/, "", line)
			return line
		}
		{
			file = devices "/" $0 "/security.json"
			since = "-"; serial = "-"; status = "-"; reason = "-"; reasons = 0
			while ((getline line < file) > 0) {
				if (reasons == 1) { reason = value(line); reasons = 2 }
				if (line ~ /^    "SerialNumber": /) serial = value(line)
				if (line ~ /^    "Status": /) status = value(line)
				if (line ~ /^    "EnrolledAt": /) since = value(line)
				if (line ~ /^    "Reasons": \[$/) reasons = 1
			}
			close(file)
			printf "%s\t%s\t%s\t%s\t%s\n", since, status, serial, $0, reason
		}' | LC_ALL=C sort
}

# A device that was taken away meanwhile is named on standard error, and left out.
# shellcheck disable=SC2016 # jq's variables
by_jq() {
	sed "s|.*|$escrow/devices/&/security.json|" | tr '\n' '\0' |
		xargs -0 -r jq -r --arg before "$before" --arg form "$form" '
			def words: . // "" | gsub("[\\x00-\\x1f\\x7f]"; " ");
			def cell: words | if test("^[=+@-]") then "\u0027" + . else . end;
			.Escrow
			| select($before == "" or ((.ReenrolledAt // .EnrolledAt // "") < $before))
			| if $form == "csv" then
				[.EnrolledAt, .Status, .SerialNumber, .Udid, .Model, .OSVersion,
				 (.Reasons // [] | join(" "))] | map(cell) | @csv
			  else
				[.EnrolledAt // "-", .Status // "-", .SerialNumber // "-", .Udid,
				 (.Reasons // ["-"])[0]] | map(words) | join("\t")
			  end' | LC_ALL=C sort
}

rows() {
	if [ "$form$before" = plain ]; then
		missing | by_awk
	else
		missing | by_jq
	fi
}

[ -d "$escrow/search/status" ] || die "$escrow is no escrow, or may not be read"
[ "$form$before" = plain ] || command -v jq >/dev/null || die "jq isn't installed, which --csv and --days need"
rows=$(rows)
[ "$form" = csv ] && echo 'enrolled,status,serial,udid,model,os_version,reasons'
[ -z "$rows" ] && exit 0
printf '%s\n' "$rows"
exit 1

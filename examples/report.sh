#!/bin/sh
# Lists the devices that have no token, or one that may not work any more, oldest enrolment first.
#
#   report.sh
#   report.sh | column -t -s "$(printf '\t')"
#
# Columns, with tabs between them: enrolled, status, serial number, UDID, the first reason.
# Devices that can't have a token (not_supported) and those that left (unenrolled) aren't listed.
#
# Exit: 0 none is missing; 1 some are; 2 the escrow can't be read.
# ESCROW is where the escrow is mounted; /mnt/escrow unless set.
set -u
escrow=${ESCROW:-/mnt/escrow}

# security.json has one key a line, in a fixed order and indent, so that awk can read it.
rows() {
	for status in not_escrowed not_eligible stale; do
		ls -f "$escrow/search/status/$status" || return 2
	done | awk -v devices="$escrow/devices" '
		function value(line) {
			sub(/^ *("[^"]*": )?"/, "", line)
			sub(/",?$/, "", line)
			return line
		}
		/^\.\.?$/ { next }
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

if ! [ -d "$escrow/search/status" ]; then
	echo "${0##*/}: $escrow is no escrow, or may not be read" >&2
	exit 2
fi
rows=$(rows)
[ -z "$rows" ] && exit 0
printf '%s\n' "$rows"
exit 1

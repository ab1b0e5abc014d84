#!/usr/bin/env bats
# shellcheck disable=SC2013,SC2086,SC2154 # the helper's words, numbers, and bats' own
# examples/: the report for a ticket system, and the watcher of the trail.

load helper

MACOS_12=0E5C0A00-0005-4000-8000-000000000005
MACOS_14=0E5C0A00-0007-4000-8000-000000000007

prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	export ESCROW=$M
}

cleanup() {
	local pid
	for pid in $(cat "$T"/*.pid 2>/dev/null); do
		kill -- "$pid" 2>/dev/null || :
	done
}

# ---- report.sh --csv ----

# What a ticket system reads of it: python's own reader, a row's fields with | between them.
read_csv() { python3 -c 'import csv, sys
for row in csv.reader(sys.stdin, strict=True):
    print("|".join(row))'; }

@test "report.sh --csv: a header, a row for each device without a token, oldest enrolment first" {
	run -1 "$EXAMPLES/report.sh" --csv
	assert_equal "${lines[0]}" 'enrolled,status,serial,udid,model,os_version,reasons'
	assert_equal "$(read_csv <<<"$output" | tail -n +2 | cut -d'|' -f2 | sort | uniq -c | awk '{ print $2 $1 }' | tr '\n' ' ')" \
		'not_eligible3 not_escrowed1 stale1 '
	read_csv <<<"$output" | tail -n +2 | cut -d'|' -f1 | LC_ALL=C sort -c
	assert_has "$(read_csv <<<"$output" | grep "$MACOS_12")" "|not_escrowed|C02EXAMPLE05|$MACOS_12|"
	assert_has "$(read_csv <<<"$output" | grep "$MACOS_12")" '|12.7.6|No token is escrowed'
}

@test "report.sh --csv: commas, quotes and formulas that a device says of itself stay in their field" {
	local serial='=HYPERLINK("http://x",1)'
	message Authenticate UDID=EVIL "SerialNumber=$serial" 'Model=Mac "14", 2' OSVersion=14,1 | checkin
	message TokenUpdate UDID=EVIL | checkin
	message Authenticate UDID=UMLAUT 'SerialNumber=C02Ü' | checkin
	run -1 "$EXAMPLES/report.sh" --csv
	assert_equal "$(read_csv <<<"$output" | grep '|EVIL|' | cut -d'|' -f2-6)" \
		"not_escrowed|'$serial|EVIL|Mac \"14\", 2|14,1"
	assert_has "$(read_csv <<<"$output")" '|C02Ü|UMLAUT|'
	assert_equal "$(read_csv <<<"$output" | awk -F'|' 'NF != 7')" ''
}

@test "report.sh --days: only those that were enrolled longer ago; nobody: 0, and the header alone" {
	message Authenticate UDID=NEW | checkin
	message TokenUpdate UDID=NEW | checkin
	message Authenticate UDID=OLD SerialNumber=C02OLD | checkin
	message TokenUpdate UDID=OLD | checkin
	unmount
	sqlite3 "$S/escrow.db" "UPDATE device SET enrolled_at = $(($(date +%s) - 15 * 86400))000000000 WHERE udid = 'OLD'"
	mount_again
	run -1 "$EXAMPLES/report.sh" --days 14
	assert_equal "$(cut -f2-4 <<<"$output")" "not_escrowed	C02OLD	OLD"
	run -1 "$EXAMPLES/report.sh" --csv --days 14
	assert_equal "${#lines[@]}" 2
	run -1 "$EXAMPLES/report.sh" --csv
	assert_has "$output" '"NEW"'
	run -0 "$EXAMPLES/report.sh" --csv --days 100
	assert_equal "$output" 'enrolled,status,serial,udid,model,os_version,reasons'
	run -2 "$EXAMPLES/report.sh" --days soon
	run -2 "$EXAMPLES/report.sh" --nonsense
}

# ---- watch-audit.sh ----

watch() {
	# In a session of its own, so that its whole pipeline can be ended.
	setsid "$EXAMPLES/watch-audit.sh" >"$T/said" 2>"$T/err" 3>&- &
	echo "-$!" >"$T/watch.pid"
	eventually 50 pgrep -s $! jq
	sleep 0.3
}

@test "watch-audit.sh says what an administrator wants to know, as it happens, and nothing else" {
	watch
	D=$M/devices/$MACOS_14
	# What is every day's.
	cat "$D/token" >/dev/null
	echo "$TOKEN_1" >"$D/token"
	run -1 sh -c "echo 'no base64' >'$D/token'"
	{ printf 'Identity: %064d\n\n' 1 && message TokenUpdate UDID=$MACOS_14; } | checkin
	# And what isn't.
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	{ printf 'Identity: %064d\n\n' 2 && message TokenUpdate UDID=$MACOS_14; } | checkin
	escrowfs export "$S" --to csv "$T/out" >/dev/null
	sleep 1.1 # whole seconds are what a date has
	escrowfs purge "$S" --before "$(date -u -d '+0 sec' +%Y-%m-%dT%H:%M:%SZ)" --yes >/dev/null
	eventually 100 grep -q '  PURGED  ' "$T/said"
	assert_equal "$(awk '{ print $2 }' "$T/said" | sort | uniq -c | awk '{ print $2 $1 }' | tr '\n' ' ')" \
		'EXPORTED1 IDENTITY1 PURGED1 REPLAYED1 '
	assert_has "$(cat "$T/said")" "  REPLAYED  $MACOS_14  "
	assert_has "$(grep EXPORTED "$T/said")" 'as CSV'
	assert_has "$(grep EXPORTED "$T/said")" '(escrowfs, uid 0'
	run ! grep -vE '^20[0-9-]{8}T[0-9:.]{12}Z  ' "$T/said"
}

@test "watch-audit.sh: refused reads; it goes on when the escrow is mounted anew" {
	watch
	D=$M/devices/$MACOS_14
	# The watcher has it open.
	umount -l "$M"
	eventually 100 sh -c "'$ESCROWFS' status '$S' | grep -q 'served by  *nobody'"
	mount_again -o max-retrievals=1/h
	cat "$D/token" >/dev/null
	eventually 50 grep -q 'has appeared\|has been replaced\|has become accessible' "$T/err"
	run -1 cat "$D/token"
	eventually 100 grep -q "  REFUSED  $MACOS_14  .*no more than 1 tokens an hour" "$T/said"
}

@test "watch-audit.sh --all: a whole trail, and a terminal obeys nothing in it" {
	printf '%s\n' '{"seq":1,"time":"2026-01-01T00:00:00.000Z","action":"refuse","outcome":"ENOKEY","udid":"A","uid":5,"command":"x\u001b[2J\u009b","reason":"none\nREFUSED"}' \
		'rubbish' '[]' >"$T/trail"
	run -0 "$EXAMPLES/watch-audit.sh" --all <"$T/trail"
	assert_equal "$output" '2026-01-01T00:00:00.000Z  REFUSED  A  none?REFUSED  (x?[2J?, uid 5)'
	run -0 "$EXAMPLES/watch-audit.sh" --all <"$M/audit"
	assert_equal "$output" ''
	run -2 "$EXAMPLES/watch-audit.sh" --nonsense
	ESCROW=$T run -2 "$EXAMPLES/watch-audit.sh"
}

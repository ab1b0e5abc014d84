#!/usr/bin/env bats
# shellcheck disable=SC2086,SC2154 # the helper's words, and bats' own
# `escrowfs status`: the fleet by status, system and age of token, for people and for programs.

load helper

prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
}

# row NAME: of the tables, with one blank between the columns.
row() { grep -E "^$1  +[-0-9]" <<<"$output" | tr -s ' '; }

# json EXPRESSION: of `status --json`.
json() { escrowfs status --json "$S" | jq -r "$1"; }

@test "by system, newest first, and by age, in tables that fit a terminal of 80 columns" {
	run -0 escrowfs status "$S"
	assert_has "$output" 'system       escrowed  stale not_escrowed not_eligible not_supported unenrolled'
	assert_equal "$(row 'macOS 26')" 'macOS 26 - - - 1 - 1'
	assert_equal "$(row 'macOS 15')" 'macOS 15 - 1 - - - -'
	assert_equal "$(row 'macOS 12')" 'macOS 12 - - 1 - - -'
	assert_equal "$(row 'macOS 10.15')" 'macOS 10.15 1 - - 1 - -'
	assert_equal "$(row 'macOS 10.14')" 'macOS 10.14 - - - - 1 -'
	assert_equal "$(row 'iPadOS 26')" 'iPadOS 26 1 - - - - -'
	assert_equal "$(row all)" 'all 4 1 1 3 2 1'
	assert_equal "$(grep -oE '^(macOS|iPadOS) [0-9.]+' <<<"$output" | tr '\n' ' ')" \
		'macOS 26 macOS 15 macOS 14 macOS 13 macOS 12 macOS 11 macOS 10.15 macOS 10.14 iPadOS 26 iPadOS 17 '
	assert_equal "$(row '< 1 day')" '< 1 day 4 1 - - - 1'
	assert_equal "$(row unknown)" 'unknown - - - - - -'
	assert_equal "$(sed -n '/^system/,/^overdue/p' <<<"$output" | awk 'length > 79')" ''
}

@test "the ages of tokens, at their borders" {
	local day=86400000000000 now
	now=$(date +%s)000000000
	unmount
	sqlite3 "$S/escrow.db" "UPDATE device SET escrowed_at = $now - 6 * $day WHERE udid LIKE '%-0003-%';
		UPDATE device SET escrowed_at = $now - 8 * $day WHERE udid LIKE '%-0006-%';
		UPDATE device SET escrowed_at = $now - 400 * $day WHERE udid LIKE '%-0007-%';
		UPDATE device SET escrowed_at = 1000000000 WHERE udid LIKE '%-0010-%'"
	run -0 escrowfs status "$S"
	assert_equal "$(row '< 1 day')" '< 1 day - 1 - - - 1'
	assert_equal "$(row '< 7 days')" '< 7 days 1 - - - - -'
	assert_equal "$(row '< 30 days')" '< 30 days 1 - - - - -'
	assert_equal "$(row older)" 'older 1 - - - - -'
	assert_equal "$(row unknown)" 'unknown 1 - - - - -'
}

@test "what scripts read is where it was: devices by status, the key, the checkpoint in the last line" {
	run -0 escrowfs status "$S"
	assert_equal "$(sed -n 's/^  \(escrowed\|stale\|unenrolled\) *\([0-9]*\)$/\1 \2/p' <<<"$output" | tr '\n' ' ')" 'unenrolled 1 stale 1 escrowed 4 '
	assert_equal "$(sed -n 's/^devices *//p' <<<"$output")" 12
	assert_has "$output" 'recipients  daily, expires 20'
	local checkpoint=${lines[-1]}
	[[ $checkpoint =~ ^checkpoint\ \ [0-9]+:[0-9a-f]{64}$ ]]
	run -0 escrowfs verify --since "${checkpoint#checkpoint  }" "$S"
	# The table's own sum is the same.
	run -0 escrowfs status "$S"
	assert_equal "$(awk '/^system/ { t = 1 } t && /^all/ { for (i = 2; i <= NF; i++) n += $i; print n }' <<<"$output")" 12
}

@test "--json: the same for programs" {
	escrowfs status --json "$S" >"$T/status.json"
	run -0 jq -e . "$T/status.json"
	assert_equal "$(json '.devices, .status.escrowed, .status.not_eligible' | tr '\n' ' ')" '12 4 3 '
	assert_equal "$(json '.systems[] | select(.system == "macOS 10.15") | .devices, .status.escrowed' | tr '\n' ' ')" '2 1 '
	assert_equal "$(json '[.systems[].devices] | add')" 12
	assert_equal "$(json '.token_ages[0] | .days, .under_days, .devices' | tr '\n' ' ')" '0 1 6 '
	assert_equal "$(json '[.token_ages[].devices] | add')" 6
	assert_equal "$(json '.token_ages[-1] | has("days")')" false
	assert_equal "$(json '.overdue, .unverified, .unclean, .key_present' | tr '\n' ' ')" '0 0 false true '
	assert_equal "$(json '[.recipients[].name] | join(" ")')" 'daily recovery'
	assert_equal "$(json .checkpoint)" "$(escrowfs status "$S" | sed -n 's/^checkpoint  //p')"
	assert_equal "$(json .store)" "$S"
	assert_has "$(json .served_by)" "mounted on $M"
	assert_equal "$(json '.disk.room')" enough
	for key in .time '.recipients[0].expires' '.recipients[1].expires'; do
		[[ $(json "$key") =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$ ]]
	done
	unmount
	assert_equal "$(json 'has("served_by")')" false
}

@test "--json is one option of status alone, and an empty store is counted, too" {
	run -2 escrowfs verify --json "$S"
	escrowfs init "$T/empty" >/dev/null
	run -0 escrowfs status "$T/empty"
	[[ $output != *system* ]]
	run -0 escrowfs status --json "$T/empty"
	assert_equal "$(jq '.devices, (.systems | length)' <<<"$output" | tr '\n' ' ')" '0 0 '
	run -1 escrowfs status --json "$T/nowhere"
	local status=0
	escrowfs status --json "$S" >/dev/full 2>"$T/err" || status=$?
	assert_equal "$status" 1
	assert_has "$(cat "$T/err")" 'not all of it could be printed'
}

# Its memory is what 12 devices take, and a little for the database's pages.
@test "of many devices, in the memory that a few take" {
	peak() { /usr/bin/env python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$ESCROWFS" status "$S"; }
	local before after
	before=$(peak)
	unmount
	sqlite3 "$S/escrow.db" "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
		INSERT INTO device SELECT 1000 + i, 'MANY-' || i, 0, 1000000 + i, 5, 0, 0, '', 1, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1, 1, 0, 9, 0 FROM n;
		INSERT INTO fact SELECT id, 20, (id % 20) || '.1', 1, 5, 1 FROM device WHERE id > 1000;
		INSERT INTO fact SELECT id, 24, 'Mac14,2', 1, 5, 1 FROM device WHERE id > 1000;
		UPDATE head SET change = 2000000"
	run -0 escrowfs status "$S"
	assert_has "$(tr -s ' ' <<<"$output")" 'devices 50012'
	assert_has "$(tr -s ' ' <<<"$output")" 'overdue 50000'
	after=$(peak)
	[ -n "${ESCROWFS_ASAN-}${ESCROWFS_VALGRIND-}" ] || [ "$after" -le $((before + 4096)) ]
}

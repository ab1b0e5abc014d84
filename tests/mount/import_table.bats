#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# import of tables, as the databases of other MDMs write them out (table.py): each row is a device.

load helper

A=AAAAAAAA-0000-4000-8000-000000000001
B=BBBBBBBB-0000-4000-8000-000000000002
C=CCCCCCCC-0000-4000-8000-000000000003
WHEN='2024-03-01 12:34:56.789+00'

prepare() { mount_new; }

# In the form of $1, into $F: A and B with tokens, C without one, and A's user.
table() {
	F=$T/devices.$1
	python3 "$BATS_TEST_DIRNAME/table.py" "$1" >"$F" <<-LINES
		$A C02A $TOKEN_1 ${2-$WHEN}
		$B - $TOKEN_2 ${2-$WHEN}
		$A:501 - $TOKEN_2 ${2-$WHEN}
		$C C02C - -
	LINES
	touch -d 2024-05-01T00:00:00Z "$F"
}

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }
counts() { echo "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same') $(row refused)"; }
# All that an import which changes nothing must leave alone.
state() { tail -n 1 "$M/audit" && stat -c '%n %y %s' "$M"/devices/*/* "$M/audit"; }
tokens() { for d; do cat "$M/devices/$d/token"; done; }
escrowed_at() { D=$M/devices/$1 && json_of '["Escrow"]["EscrowedAt"]'; }

# Imports $F and looks at what came of it; a second time nothing does.
moves_in() { # moves_in EXPECTED-TIME
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$F"
	assert_equal "$(counts)" '3 2 0 0'
	assert_equal "$(ls "$M/devices")" ''
	run -0 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '3 2 0 0'
	assert_equal "$stderr" ''
	assert_equal "$(ls "$M/devices")" "$A
$B
$C"
	assert_equal "$(tokens $A $B $C)" "$TOKEN_1
$TOKEN_2"
	assert_equal "$(status_of $A) $(status_of $C)" 'escrowed not_escrowed'
	assert_equal "$(escrowed_at $A) $(escrowed_at $B)" "$1 $1"
	local before
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '0 0 2 0'
	assert_equal "$(state)" "$before"
}

@test "Postgres' CSV: messages of many lines, quotes, NULL; the time of escrow is kept; again, nothing changes" {
	table postgres
	moves_in 2024-03-01T12:34:56.789Z
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]') $(json_of '["Escrow"]["OSVersion"]')" 'C02A 14.1'
	assert_equal "$(readlink "$M/search/serialnumber/c02a")" "../../devices/$A"
	assert_equal "$(grep -c "\"action\":\"import\".*$F, line " "$M/audit")" 3
	run -0 escrowfs verify "$S"
}

@test "the batch output of mysql: escapes, and NULL" {
	table mysql '2024-03-01 12:34:56'
	moves_in 2024-03-01T12:34:56.000Z
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 14.1
}

@test "select *, of NanoMDM's or Fleet's table: other columns are read over; CRLF and a byte order mark" {
	table select '2024-03-01 18:04:56.5+05:30'
	moves_in 2024-03-01T12:34:56.500Z
	run -1 grep -rqa 'unlock token' "$S"
	D=$M/devices/$A
	# When its messages came is a column, too.
	assert_equal "$(json_of '["Escrow"]["EnrolledAt"]')" 2023-11-05T09:30:00.250Z
}

@test "udid,serial,token: when the file was written stands for the time" {
	table plain
	moves_in 2024-05-01T00:00:00.000Z
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]')" C02A
}

@test "on standard input, and by a pipe, a table is told as well" {
	table mysql '2024-03-01 12:34:56'
	run -0 --separate-stderr escrowfs import "$S" - <"$F"
	assert_equal "$(counts)" '3 2 0 0'
	run -0 --separate-stderr escrowfs import "$S" - < <(cat "$F")
	assert_equal "$(counts)" '0 0 2 0'
	table postgres
	run -0 --separate-stderr escrowfs import "$S" <(cat "$F")
	assert_equal "$(counts)" '0 0 2 0'
	grep '"reason":"from standard input, line 2, sent 20' "$M/audit"
}

@test "what is known here to be newer stands; an older token becomes a version that has ended" {
	set_token "$TOKEN_2" $A | checkin
	message Authenticate UDID=$A SerialNumber=NEWER | checkin
	results QueryResponses '<key>OSVersion</key><string>15.2</string>' $A | checkin
	device $C
	echo "$TOKEN_1" >"$D/token"
	table postgres
	run -0 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '1 2 0 0'
	assert_equal "$(tokens $A $C)" "$TOKEN_2
$TOKEN_1"
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]') $(json_of '["Escrow"]["OSVersion"]')" 'NEWER 15.2'
	run -0 escrowfs history "$S" $A
	assert_has "$output" '2024-03-01T12:34:56.789Z'
	assert_equal "$(grep -c replaced <<<"$output")" 1
	assert_equal "$(grep -c current <<<"$output")" 1
	# Removed here: it stays so, however often the table comes.
	truncate -s 0 "$M/devices/$A/token"
	escrowfs import "$S" "$F"
	[ ! -s "$M/devices/$A/token" ]
}

@test "a table doesn't say how old its facts are: those known here stand, whenever the file was written" {
	message Authenticate UDID=$A SerialNumber=C02A OSVersion=14.1 | checkin
	results QueryResponses '<key>OSVersion</key><string>15.2</string>' $A | checkin
	table postgres
	touch -d '+1 hour' "$F"
	escrowfs import "$S" "$F"
	escrowfs import "$S" - <"$F"
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 15.2
}

@test "nobody becomes stale: a set-up that is older than the token, one that is newer, one here" {
	local i
	table postgres
	escrowfs import "$S" "$F"
	table select '2020-01-01 00:00:00'
	for i in 1 2; do
		escrowfs import "$S" "$F"
		assert_equal "$(status_of $A) $(status_of $B) $(status_of $C)" 'escrowed escrowed not_escrowed'
	done
	# Enrolled again here (a certificate was renewed): the table's AwaitingConfiguration is of before.
	message Authenticate UDID=$A | checkin
	touch -d '+1 hour' "$F"
	escrowfs import "$S" "$F"
	assert_equal "$(status_of $A)" escrowed
}

@test "two rows of one device, in any case of letters: the later time counts, both are kept" {
	python3 "$BATS_TEST_DIRNAME/table.py" postgres >"$T/two" <<-LINES
		$A C02A $TOKEN_1 2024-03-02 00:00:00+00
		${A,,} C02A $TOKEN_2 2024-03-01 00:00:00+00
		$B - $TOKEN_1 2024-03-01 00:00:00+00
		$B - $TOKEN_2 2024-03-02 00:00:00+00
		$B - $TOKEN_2 2024-03-02 00:00:00+00
	LINES
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$T/two"
	assert_equal "$(counts)" '2 4 1 0'
	run -0 --separate-stderr escrowfs import "$S" "$T/two"
	assert_equal "$(counts)" '2 4 1 0'
	assert_equal "$(ls "$M/devices")" "$A
$B"
	assert_equal "$(tokens $A $B)" "$TOKEN_1
$TOKEN_2"
	local before
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$T/two"
	assert_equal "$(counts)" '0 0 5 0'
	assert_equal "$(state)" "$before"
}

@test "a device that was taken away here isn't brought back by what is older; its token joins the past" {
	local number
	device $B
	rmdir "$D"
	table postgres
	escrowfs import "$S" "$F"
	[ ! -e "$M/devices/$B" ]
	run -0 escrowfs history "$S" $B
	assert_has "$output" '2024-03-01T12:34:56.789Z'
	assert_equal "$(grep -c removed <<<"$output") $(grep -c current <<<"$output" || :)" '1 0'
	D=$M/devices/$A
	number=$(json_of '["Escrow"]["DeviceId"]')
	truncate -s 0 "$D/token"
	rmdir "$D"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '0 0 2 0'
	assert_equal "$(state)" "$before"
	# What is newer than its removal comes; so it does to one that was made again.
	table postgres "$(date -u '+%F %T.%6N+00')"
	run -0 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '2 2 0 0'
	assert_equal "$(tokens $A $B)" "$TOKEN_1
$TOKEN_2"
	[ "$(json_of '["Escrow"]["DeviceId"]')" -gt "$number" ]
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "--dry-run writes nothing, with refusals too; without any key the table moves in" {
	table postgres
	printf '%s\n' "$UDID,,,no base64," >>"$F"
	unmount
	rm "$S.key.pem"
	sha256sum "$S"/* >"$T/before"
	run -1 --separate-stderr escrowfs import --dry-run "$S" "$F"
	assert_has "$output" 'Dry run: nothing was written'
	assert_equal "$(counts)" '3 2 0 1'
	sha256sum "$S"/* | diff "$T/before" -
	run -1 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(counts)" '3 2 0 1'
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$T/devices.postgres" --key "$S.recovery.pem" || :
	mount_again -o key="$S.recovery.pem"
	assert_equal "$(tokens $A)" "$TOKEN_1"
}

@test "nothing of a token in what import says, on the trail, or in the store's files" {
	table postgres
	printf '%s\n' "$UDID,,,$TOKEN_1$TOKEN_2," "$UDID,,$TOKEN_1,$TOKEN_2,$WHEN" "$UDID,,$TOKEN_1,$WHEN,$TOKEN_2" \
		"$TOKEN_1,,,," "$UDID,$TOKEN_1,,$TOKEN_2" "\"$TOKEN_1\"$TOKEN_2,,,," "$UDID,,,\"$TOKEN_1" >>"$F"
	run -1 --separate-stderr escrowfs import "$S" "$F"
	assert_equal "$(row 'tokens new')" 2
	[ "$(row refused)" -ge 6 ]
	local secret
	for secret in "$TOKEN_1" "$TOKEN_2" "$(base64 -d <<<"$TOKEN_1")" "$(base64 -d <<<"$TOKEN_2")"; do
		[[ $output$stderr != *"$secret"* ]]
		run ! grep -qaF "$secret" "$M/audit"
		run ! grep -rqaF "$secret" "$S"
	done
}

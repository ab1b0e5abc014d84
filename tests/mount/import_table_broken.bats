#!/usr/bin/env bats
# shellcheck disable=SC2012,SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# import of tables that are broken, in part or all over: what is wrong is named with its line, none of it is
# stored, and the rest goes on.

load helper

HEADER=id,authenticate,token_update,bootstrap_token_b64,bootstrap_token_at

prepare() { mount_new; }

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }

# A message inside a field, and what a row of the table needs around it.
quoted() { printf '"%s"' "$(message "$@" | sed 's/"/""/g')"; }
good() { printf 'GOOD-%s,,,%s,2024-03-01 00:00:00+00\n' "$1" "$TOKEN_1"; }

# Imports standard input (lines of a table with that header), which has GOOD-1 and GOOD-2 in it; all else is refused.
refused() { # refused NUMBER SAID...
	local number=$1 said
	shift
	{ echo "$HEADER" && cat; } >"$T/table"
	run -1 --separate-stderr escrowfs import "$S" "$T/table"
	assert_equal "$(row refused) $(row 'not read')" "$number "
	assert_equal "$(wc -l <<<"$stderr")" "$number"
	for said; do assert_has "$stderr" "escrowfs: $T/table, $said"; done
	assert_equal "$(ls "$M/devices")" 'GOOD-1
GOOD-2'
	assert_equal "$(cat "$M/devices/GOOD-1/token" "$M/devices/GOOD-2/token")" "$TOKEN_1
$TOKEN_1"
}

# Imports a file of which nothing can be read.
unread() { # unread FILE SAID
	run -1 --separate-stderr escrowfs import "$S" "$1"
	assert_equal "$(row refused) $(row 'not read')" '0 1'
	assert_equal "${stderr%%: a table needs*}" "escrowfs: $1: $2"
	assert_equal "$(ls "$M/devices")" ''
}

@test "a wrong number of columns" {
	refused 2 'line 3: the number of its columns is 3' 'line 4: the number of its columns is 6' <<-TABLE
		$(good 1)
		U-1,a,$TOKEN_2
		U-2,,,$TOKEN_2,,
		$(good 2)
	TABLE
}

@test "an unterminated quote, at the end and in the middle" {
	refused 2 'line 3: a quotation mark' 'line 5: quotes are opened that never close: rows' <<-TABLE
		$(good 1)
		U-1,"<plist>"x,,$TOKEN_2,
		$(good 2)
		U-2,"<plist>
		U-3,,,$TOKEN_2,
	TABLE
}

@test "NUL bytes" {
	{ echo "$HEADER" && good 1 && printf 'U-1,,,YWJj\0YWJj,\nU-\0,,,YWJj,\n\0\0\0\0\n' && good 2; } >"$T/table"
	run -1 --separate-stderr escrowfs import "$S" "$T/table"
	assert_has "$stderr" "$T/table, line 3: device U-1: the token has a NUL in it"
	assert_has "$stderr" "$T/table, line 4: the device's name has a NUL in it"
	assert_has "$stderr" "$T/table, line 5: the number of its columns is 1"
	assert_equal "$(row refused) $(ls "$M/devices" | tr '\n' ' ')" '3 GOOD-1 GOOD-2 '
}

@test "nothing in it, a header only, one without a device" {
	: >"$T/empty"
	echo "$HEADER" >"$T/header"
	printf 'serial,token\nC02,%s\n' "$TOKEN_1" >"$T/nobody"
	unread "$T/empty" 'it is empty'
	unread "$T/header" 'there is no row below its header'
	unread "$T/nobody" 'its first line names no column for the device'
}

@test "a table with semicolons, in UTF-16, without a header, or of other columns: what one has to be is said" {
	local file
	printf 'udid;token\nU-1;%s\n' "$TOKEN_1" >"$T/semicolons"
	printf 'udid,token\nU-1,%s\n' "$TOKEN_1" | iconv -t UTF-16 >"$T/utf16"
	printf 'U-1,%s\n' "$TOKEN_1" >"$T/headless"
	printf 'device,secret\nU-1,%s\n' "$TOKEN_1" >"$T/other"
	for file in semicolons utf16 headless other; do
		run -1 --separate-stderr escrowfs import "$S" "$T/$file"
		assert_has "$stderr" "escrowfs: $T/$file: "
		assert_has "$stderr" 'nor a table: that is UTF-8, with commas or tabs'
		[[ $output$stderr != *"$TOKEN_1"* ]]
		assert_equal "$(row refused) $(ls "$M/devices")" '1 '
	done
}

@test "tokens that are none: bad base64, a FileVault recovery key, one that is too large" {
	large() { head -c "$1" /dev/zero | base64 -w 0; }
	refused 6 'line 2: device U-1: its token: character 1 is no base64' \
		'line 3: device U-2: its token: the base64 is cut' \
		'line 4: device U-3: its token: this is a FileVault' 'line 5: device U-4: its token: this is a FileVault' \
		'line 7: device U-5: its token: the Bootstrap Token is over 48 KiB' 'line 8: a field in it is 1 MiB or larger' <<-TABLE
		U-1,,,!$TOKEN_2,
		U-2,,,YWJ,
		U-3,,,ABCD-EFGH-IJKL-MNOP-QRST-UVWX,
		U-4,,,$(printf ABCD-EFGH-IJKL-MNOP-QRST-UVWX | base64),
		$(good 1)
		U-5,,,$(large 50000),
		U-6,,,$(large 1000000),
		$(good 2)
	TABLE
}

@test "messages that are none, another's, of another kind, of a user's channel, cut or too large" {
	refused 7 "line 2: device U-1: its Authenticate message is device OTHER's" \
		'line 12: device U-2: its Authenticate message: ' \
		'line 13: device U-3: where its TokenUpdate message should be there is another one (Authenticate)' \
		'line 23: device U-4: its Authenticate message is of the user channel' \
		'line 35: device U-5: its TokenUpdate message: the property list' \
		'line 36: device U-6: its Authenticate message' 'line 37: a field in it is 1 MiB or larger' <<-TABLE
		U-1,$(quoted Authenticate UDID=OTHER),,$TOKEN_2,
		U-2,nonsense,,$TOKEN_2,
		U-3,,$(quoted Authenticate UDID=U-3),$TOKEN_2,
		U-4,$(quoted Authenticate UDID=U-4 UserID=501),,$TOKEN_2,
		U-5,,<?xml version='1.0'?><plist><dict>,$TOKEN_2,
		U-6,$(printf '<a>%.0s' $(seq 2000)),,$TOKEN_2,
		U-7,"$(head -c 1100000 /dev/zero | tr '\0' x)",,$TOKEN_2,
		$(good 1)
		$(good 2)
	TABLE
}

@test "devices that are none, and times" {
	refused 8 'line 2: what stands for the device is no UDID' 'line 3: what stands for the device is no UDID' \
		'line 4: what stands for the device is no UDID' 'line 5: what stands for the device is no UDID' \
		'line 6: it names no device' "line 7: device U-1: what it has for the token's time is none" \
		'line 8: device U-2: "2024-13-45 00:00:00" is no time' 'line 9: device U-3: "1900' <<-TABLE
		../../etc,,,$TOKEN_2,
		a b,,,$TOKEN_2,
		$(printf 'U%.0s' $(seq 65)),,,$TOKEN_2,
		$(printf 'G\374'),,,$TOKEN_2,
		,,,$TOKEN_2,
		U-1,,,$TOKEN_2,yesterday
		U-2,,,$TOKEN_2,2024-13-45 00:00:00
		U-3,,,$TOKEN_2,1900-01-01 00:00:00
		$(good 1)
		$(good 2)
	TABLE
}

@test "a serial number in Latin-1, with control characters, or too long; CRLF and a byte order mark are fine" {
	printf '\357\273\277udid,serial,token\r\nU-1,M\374nchen,%s\r\nU-2,a\033[2J,%s\r\nU-3,%s,%s\r\nGOOD-1,M\303\274nchen,%s\r\n' \
		"$TOKEN_2" "$TOKEN_2" "$(printf 'x%.0s' $(seq 96))" "$TOKEN_2" "$TOKEN_1" >"$T/table"
	run -1 --separate-stderr escrowfs import "$S" "$T/table"
	assert_equal "$(row refused) $(ls "$M/devices")" '3 GOOD-1'
	assert_has "$stderr" "$T/table, line 2: device U-1: its serial number isn't text in UTF-8"
	assert_has "$stderr" "$T/table, line 3: device U-2: its serial number isn't text"
	assert_has "$stderr" "$T/table, line 4: device U-3: its serial number is longer than 95 bytes"
	printf 'udid,serial,token\nU-4,"a\nb",%s\n' "$TOKEN_2" >"$T/broken"
	run -1 --separate-stderr escrowfs import "$S" "$T/broken"
	assert_has "$stderr" "$T/broken, line 2: device U-4: its serial number isn't text in UTF-8, or has a line break"
	D=$M/devices/GOOD-1
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]')" München
}

@test "a million lines of garbage: each is counted, in a bounded time, and the row behind them is taken" {
	python3 - "$HEADER" "$(good 1)" >"$T/table" <<'PY'
import sys
print(sys.argv[1] + "\n" + "garbage\n" * 1000000 + sys.argv[2])
PY
	local status=0 limit=${ESCROWFS_ASAN:+600}
	timeout "${limit:-120}" "$ESCROWFS" import "$S" "$T/table" >"$T/out" 2>"$T/said" || status=$?
	assert_equal "$status" 1
	output=$(cat "$T/out")
	assert_equal "$(row refused) $(row 'tokens new')" '1000000 1'
	assert_equal "$(tail -n 1 "$T/said" | cut -d : -f 2)" " $T/table, line 1000001"
	[ -s "$M/devices/GOOD-1/token" ]
	# On the trail they are two lines.
	assert_equal "$(grep -c '"refuse"' "$M/audit")" 2
	grep '(999999 times more within a minute)' "$M/audit"
}

@test "stopped by ^C: what was before it is in, and the second time the rest" {
	python3 - >"$T/table" <<'PY'
import base64
print("udid,serial,token")
for i in range(20000):
    print("MANY-%05d,,%s" % (i, base64.b64encode(b"token %d" % i).decode()))
PY
	mkfifo "$T/pipe"
	"$ESCROWFS" import "$S" "$T/pipe" >"$T/out" 2>"$T/err" 3>&- &
	local import=$! before status=0
	exec 9>"$T/pipe"
	head -n 5000 "$T/table" >&9
	eventually 300 test -e "$M/devices/MANY-03000"
	kill -INT $import
	wait $import || status=$?
	exec 9>&-
	assert_equal "$status" 1
	output=$(cat "$T/out")
	assert_has "$output" 'Stopped before the end'
	before=$(row 'tokens new')
	[ "$before" -ge 3000 ]
	assert_equal "$(ls "$M/devices" | wc -l)" "$before"
	run -0 --separate-stderr escrowfs import "$S" "$T/table"
	assert_equal "$(row 'tokens new') $(row 'tokens the same')" "$((20000 - before)) $before"
	assert_equal "$(base64 -d "$M/devices/MANY-19999/token")" 'token 19999'
	run -0 escrowfs verify "$S"
}

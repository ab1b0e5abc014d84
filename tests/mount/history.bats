#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012 # tests are subshells; UDID is a plain word
# The past of a device: history and restore.

load helper

prepare() {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
}

@test "history lists every version, in any case of the UDID, and no token" {
	truncate -s 0 "$D/token"
	run -0 --separate-stderr escrowfs history "$S" "${UDID,,}"
	assert_has "${lines[1]}" replaced
	assert_has "${lines[2]}" removed
	[ "${#lines[@]}" -eq 3 ]
	case $output in *"$TOKEN_1"* | *"$TOKEN_2"*) false ;; esac
	run -1 escrowfs history "$S" NOT-THERE
	assert_has "$output" 'NOT-THERE'
	mkdir "$M/devices/EMPTY"
	run -0 --separate-stderr escrowfs history "$S" EMPTY
	assert_has "$output" 'No token'
}

@test "restore makes an old version current again, as a new one that the trail tells of" {
	run -0 escrowfs restore "$S" "$UDID" 1
	assert_has "$output" 'version 3 is the current one'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	grep -q '"action":"escrow".*"version":3.*by hand: version 1 restored; a replay: the token equals version 1' "$M/audit"
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_has "${lines[3]}" current
	run -0 escrowfs verify "$S"
}

@test "restore of what is current, of no version, without the key" {
	local before
	before=$(lines)
	run -1 escrowfs restore "$S" "$UDID" 2
	assert_has "$output" 'current one already'
	run -1 escrowfs restore "$S" "$UDID" 9
	assert_has "$output" 'no version 9'
	run -2 escrowfs restore "$S" "$UDID" one
	run -1 escrowfs restore "$S" '../x' 1
	assert_has "$output" 'no UDID'
	mv "$S.key.pem" "$T/away"
	run -1 escrowfs restore "$S" "$UDID" 1
	assert_has "$output" "--key"
	run -0 escrowfs restore "$S" "$UDID" 1 --key "$S.recovery.pem"
	assert_equal "$(escrowfs history "$S" "$UDID" | tail -n 1 | awk '{ print $1, $4 }')" '3 current'
	assert_equal "$(sed "1,${before}d" "$M/audit" | grep -c '"action":"refuse"')" 3
}

@test "restore brings back the token of a device that was taken away" {
	truncate -s 0 "$D/token"
	rmdir "$D"
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_has "${lines[1]}" 'taken away'
	run -0 escrowfs restore "$S" "$UDID" 2
	eventually 30 test -d "$D"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_has "${lines[3]}" '3 '
	assert_has "${lines[3]}" current
}

@test "restore is refused as any escrow by hand is while known facts forbid it" {
	printf '{"Escrow": {"OSVersion": "10.14.6", "Model": "MacBookPro15,1"}}' >"$D/security.json"
	run -1 escrowfs restore "$S" "$UDID" 1
	assert_has "$output" 'not escrowed'
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "no device of a name is forgotten, however many there were" {
	local i
	truncate -s 0 "$D/token"
	rmdir "$D"
	for i in $(seq 70); do
		mkdir "$D"
		echo "$TOKEN_1" >"$D/token"
		truncate -s 0 "$D/token"
		rmdir "$D"
	done
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_equal "${#lines[@]}" 73
	assert_equal "$(echo "${lines[72]}" | awk '{ print $1 }')" 72
	run -0 escrowfs restore "$S" "$UDID" 72
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	assert_equal "$(find "$T/sealed/removed/$UDID/history" -name '*.pem' | wc -l)" 72
}

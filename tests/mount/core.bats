#!/usr/bin/env bats
# shellcheck disable=SC2086,SC2153 # UDID is a plain word of helper.bash's
# The way of a token through all layers, in few steps: what runs under valgrind too.

load helper

@test "init, mount, escrow, retrieve, replace, refuse, remove, verify" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	set_token "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	run -1 bash -c "echo 'no base64!' >'$D/token'"
	echo '{"OSVersion": "14.1"}' >"$D/security.json"
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 14.1
	truncate -s 0 "$D/token"
	rmdir "$D"
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "check-ins: XML, binary, a webhook, hostile ones" {
	mount_new
	set_token "$TOKEN_1" | checkin
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	checkin <"$EXAMPLES"/messages/22-*
	checkin <"$EXAMPLES"/messages/34-*
	run -1 checkin < <(printf '<plist><dict><key>MessageType</key>')
	run -1 checkin < <(printf 'bplist00\xa1\x00\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a')
	run -1 checkin < <(printf '{"checkin_event": {"raw_payload": "!"}}')
	unmount
}

@test "import, status, a sealed mount, modes and ACLs" {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages"
	escrowfs status "$S"
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	find "$T/sealed" -type f -exec cat {} + >/dev/null
	chmod 0640 "$M/policy/token"
	setfacl -m u:1234:r "$M/devices/0E5C0A00-0003-4000-8000-000000000003/token"
	assert_has "$(getfacl -p "$M/devices/0E5C0A00-0003-4000-8000-000000000003/token")" 'user:1234:r--'
	find "$M" >/dev/null
	cat "$M/metrics" "$M/audit" >/dev/null
	umount "$T/sealed"
	unmount
}

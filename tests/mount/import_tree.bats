#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# import of a sealed tree, as a backup program brought it back: whole or in part, into the store that it
# is from or into another one, with the key or without.

load helper

A=0E5C0A00-0003-4000-8000-000000000003 # has a token, an older one, an ACL
B=0E5C0A00-0005-4000-8000-000000000005 # has none
C=0E5C0A00-0010-4000-8000-000000000010 # had one, and was taken away

# A store with a past, its sealed tree in $X, and what was in it: TOKEN_1 is A's, of two.
prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	OLD=$(cat "$M/devices/$A/token")
	echo "$TOKEN_1" >"$M/devices/$A/token"
	truncate -s 0 "$M/devices/$C/token"
	rmdir "$M/devices/$C"
	setfacl -m u:7:r "$M/devices/$A/token"
	chgrp 9 "$M/devices/$A"
	escrowfs history "$S" "$A" >"$T/history"
	X=$T/tree
	sealed "$X"
}

# A copy of the store's sealed tree.
sealed() { # sealed DIR
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	rsync -aA "$T/sealed/" "$1/"
	unmount_sealed
}
unmount_sealed() {
	umount "$T/sealed"
	rmdir "$T/sealed"
}

# Everything burns but the tree and the recovery key; a new store is made from that key, and mounted.
burn() {
	unmount
	rm -rf "$S" "$S.key.pem"
	escrowfs init "$S" --key "file:$S.recovery.pem" --no-recovery >"$T/init.out"
	mount_again
}

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }
summary() { echo "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same') $(row refused)"; }
# All that must stay as it is when nothing changes.
state() { tail -n 1 "$M/audit" && stat -c '%n %y %s %i %a %u %g' "$M"/devices/* "$M"/devices/*/*; }

# What a tree says of devices, but for when something was sealed or read, and the seals themselves.
said() { (cd "$1" && cat devices/*/security.json devices/*/bootstrap_status && getfacl -Rn devices && find devices removed); }

@test "into the store that it is from: nothing changes, not a line, not a time" {
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(summary)" '0 0 7 0'
	assert_equal "$stderr" ''
	assert_equal "$(state)" "$before"
}

@test "into a new store with the recovery key: every token, its past, facts, numbers, owners, modes and ACLs" {
	tokens=$(cd "$M/devices" && grep . ./*/token)
	said "$X" >"$T/before"
	burn
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$stderr" ''
	sealed "$T/again"
	said "$T/again" | diff "$T/before" -
	assert_equal "$(cd "$M/devices" && grep . ./*/token)" "$tokens"
	escrowfs history "$S" "$A" >"$T/history.now"
	diff "$T/history" "$T/history.now"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '0 0 0'
	assert_equal "$(state)" "$before"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	run -0 escrowfs restore "$S" "$A" 1
	assert_equal "$(cat "$M/devices/$A/token")" "$OLD"
}

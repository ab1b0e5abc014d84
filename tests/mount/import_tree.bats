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

@test "a part of it: some devices, wherever they lie; a device's directory by itself" {
	burn
	mkdir -p "$T/part/var/backup/devices" "$T/loose"
	cp -a "$X/devices/$A" "$T/part/var/backup/devices/"
	cp -a "$X/devices/$B" "$T/loose/"
	run -0 --separate-stderr escrowfs import "$S" "$T/part" "$T/loose"
	assert_equal "$(summary)" '2 2 0 0'
	assert_equal "$(ls "$M/devices")" "$(printf '%s\n' "$A" "$B")"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	rm -r "$T/part/var/backup/devices/$A/history"
	# What the backup had and isn't there is named: that a restore was cut short shows.
	run -1 --separate-stderr escrowfs import "$S" "$T/part" "$X/devices/0E5C0A00-0006-4000-8000-000000000006"
	assert_equal "$(summary)" '1 1 1 1'
	assert_has "$stderr" "$A/history/1.pem: it isn't there, and security.json tells of it"
	# The number of a version that wasn't in the part isn't given to another one.
	rm -r "$X/devices/$A/history"
	burn
	run -1 escrowfs import "$S" "$X/devices/$A"
	echo "$OLD" >"$M/devices/$A/token"
	assert_equal "$(escrowfs history "$S" "$A" | awk 'NR > 1 { print $1 }' | xargs)" '2 3'
}

@test "without the key: kept unopened, not served, said; the first opening with the key verifies" {
	burn
	unmount
	mv "$S.recovery.pem" "$T/away.pem"
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'tokens new') $(row 'tokens unverified')" '7 7'
	run -0 --separate-stderr escrowfs import "$S" "$X"
	# As often as that is said, until it isn't so any more.
	assert_equal "$(row 'tokens new') $(row 'tokens the same') $(row 'tokens unverified')" '0 7 7'
	run -0 escrowfs status "$S"
	assert_equal "$(awk '$1 == "unverified" { print $2 }' <<<"$output")" 7
	run -0 --separate-stderr escrowfs verify "$S"
	assert_has "$output" '0 seals opened: nothing is wrong with what was looked at.'
	assert_has "$output" '7 seals were not opened: there is no private key here'
	mount_again
	run -1 cat "$M/devices/$A/token"
	grep -q "\"udid\":\"$A\".*kept unopened until a key opens it" "$M/audit"
	unmount
	mv "$T/away.pem" "$S.recovery.pem"
	mount_again
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	run -0 escrowfs status "$S"
	assert_equal "$(awk '$1 == "unverified" { print $2 }' <<<"$output")" 6
	# And an import with the key opens the others.
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'tokens new') $(row 'tokens the same') $(row refused)" '0 7 0'
	run -0 escrowfs status "$S"
	[[ $output != *unverified* ]]
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "what is broken is named and left out, one thing at a time; the rest comes in" {
	burn
	local d=$X/devices
	local six=0E5C0A00-0006-4000-8000-000000000006 seven=0E5C0A00-0007-4000-8000-000000000007
	local eight=0E5C0A00-0008-4000-8000-000000000008 nine=0E5C0A00-0009-4000-8000-000000000009
	head -c 300 "$d/$A/history/1.pem" >"$T/piece" && cp "$T/piece" "$d/$A/history/1.pem"
	: >"$d/$six/token"
	cp "$d/$A/token" "$d/$seven/token" # another's
	rm "$d/$eight/token" && ln -s "../$A/token" "$d/$eight/token"
	rm "$d/$nine/token" && mkdir "$d/$nine/token"
	echo '{"Escrow"' >"$d/$B/security.json"
	echo 'perhaps' >"$d/$A/bootstrap_status"
	echo hello >"$d/$A/README"
	touch "$d/$A/history/first.pem" "$d/$A/history/0.pem" "$d/$A/history/01.pem"
	mkdir "$d/0E5C0A00-0099-4000-8000-000000000099"
	ln -s / "$d/0E5C0A00-0098-4000-8000-000000000098"
	echo hello >"$d/notes"
	mkfifo "$d/$A/fifo"
	run -1 --separate-stderr escrowfs import "$S" "$X"
	echo "$stderr"
	for what in "$A/history/1.pem: " "$six/token: it is empty" "$seven/token: the seal is another device's, $A" \
		"$eight/token: a symbolic link; it isn't followed" "$nine/token: it is no regular file" \
		"$B: security.json: " "$A/bootstrap_status: it holds none of the six words" \
		"$A/README: a backup has no file of this name here" "$A/history/first.pem: a backup has no" \
		"$A/history/0.pem: a backup has no" "$A/history/01.pem: a backup has no" "$A/fifo: a backup has no" \
		"0E5C0A00-0099-4000-8000-000000000099: there is nothing of a device in it" \
		"0E5C0A00-0098-4000-8000-000000000098: a symbolic link; it isn't followed" "devices/notes: "; do
		[[ $stderr == *"$what"* ]] || { echo "missing: $what"; false; }
	done
	assert_equal "$(grep -c . <<<"$stderr")" 15
	assert_equal "$(row refused) $(row 'not read')" '14 1'
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	for id in "$six" "$seven" "$eight" "$nine"; do
		assert_equal "$(cat "$M/devices/$id/token")" ''
	done
	assert_equal "$(find "$M/devices" -mindepth 1 -maxdepth 1 | grep -c 'devices/.*-009[89]-' || :)" 0
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	# One more time changes nothing, and names the same.
	before=$(state | tail -n +2)
	run -1 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '0 0 14'
	assert_equal "$(state | tail -n +2)" "$before"
}

@test "another store's tree: refused without a key that opens it, taken in with it" {
	unmount
	escrowfs init "$T/other" >/dev/null
	run -1 --separate-stderr escrowfs import "$T/other" "$X"
	assert_equal "$(row 'tokens new') $(row refused)" '0 7'
	assert_has "$stderr" "$A/token: it is sealed to none of the recipients of store $T/other; name the private key that opens it with --key URI"
	rm -rf "$T/other"
	rm "$T"/other.*
	escrowfs init "$T/other" >/dev/null
	run -0 --separate-stderr escrowfs import "$T/other" "$X" --key "file:$S.recovery.pem"
	assert_equal "$(row 'tokens new') $(row 'tokens unverified') $(row refused)" '7  0'
	escrowfs mount "$T/other" "$M"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
}

@test "an older tree changes nothing of what happened since" {
	echo "$TOKEN_2" >"$M/devices/$A/token"
	echo '{"OSVersion": "15.9"}' >"$M/devices/$A/security.json"
	seven=0E5C0A00-0007-4000-8000-000000000007
	truncate -s 0 "$M/devices/$seven/token"
	rmdir "$M/devices/$seven"
	chmod 0644 "$M/devices/$A/token"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(summary)" '0 0 7 0'
	assert_equal "$(state)" "$before"
	D=$M/devices/$A
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 15.9
	[ ! -e "$M/devices/$seven" ]
}

@test "a device that was taken away twice isn't brought back by a backup from between" {
	truncate -s 0 "$M/devices/$A/token"
	rmdir "$M/devices/$A"
	mkdir "$M/devices/$A"
	echo "$TOKEN_2" >"$M/devices/$A/token"
	sealed "$T/between"
	truncate -s 0 "$M/devices/$A/token"
	rmdir "$M/devices/$A"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$T/between" "$X"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '0 0 0'
	[ ! -e "$M/devices/$A" ]
	assert_equal "$(state)" "$before"
}

@test "a newer tree brings what happened since: tokens, facts, what was removed" {
	six=0E5C0A00-0006-4000-8000-000000000006
	cp -a "$S" "$T/earlier"
	echo "$TOKEN_2" >"$M/devices/$A/token"
	echo '{"OSVersion": "15.9"}' >"$M/devices/$A/security.json"
	truncate -s 0 "$M/devices/$six/token"
	sealed "$T/later"
	unmount
	rm -rf "$S"
	mv "$T/earlier" "$S"
	mount_again
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	run -0 --separate-stderr escrowfs import "$S" "$T/later"
	assert_equal "$(summary)" '0 1 7 0'
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
	assert_equal "$(escrowfs history "$S" "$A" | awk 'NR > 1 { print $1 }' | xargs)" '1 2 3'
	assert_equal "$(cat "$M/devices/$six/token")" ''
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 15.9
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$T/later" "$X"
	assert_equal "$(row 'tokens new')" 0
	assert_equal "$(state)" "$before"
}

@test "no device that is here becomes stale; one that was stale there is so where it is new" {
	stale=$(cd "$X/devices" && grep -lx stale ./*/bootstrap_status | cut -d/ -f2)
	[ -n "$stale" ]
	token=$(cat "$M/devices/$stale/token")
	sealed "$T/later"
	# Here the device's token was confirmed, and nothing is known of a new enrolment.
	burn
	echo '{}' >"$T/empty"
	mkdir "$M/devices/$stale"
	echo "$token" >"$M/devices/$stale/token"
	assert_equal "$(status_of "$stale")" escrowed
	escrowfs import "$S" "$T/later"
	assert_equal "$(status_of "$stale")" escrowed
	burn
	escrowfs import "$S" "$T/later"
	assert_equal "$(status_of "$stale")" stale
}

@test "--dry-run says what would come in, and writes nothing" {
	burn
	unmount
	cp -a "$S" "$T/untouched"
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$X"
	assert_has "$output" 'Dry run: nothing was written'
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '11 7 0'
	diff <(sqlite3 "$T/untouched/escrow.db" .dump) <(sqlite3 "$S/escrow.db" .dump)
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '11 7 0'
}

@test "killed in the middle, it goes on where it was" {
	for i in $(seq 600); do
		id=$(printf '0E5C0A01-%04d-4000-8000-000000000000' "$i")
		set_token "$(printf 'token %d' "$i" | base64)" "$id"
	done >"$T/many"
	escrowfs import "$S" "$T/many" >"$T/out"
	sealed "$T/large"
	burn
	escrowfs import "$S" "$T/large" >"$T/out" 2>&1 &
	eventually 100 [ -e "$M/devices/0E5C0A01-0100-4000-8000-000000000000" ] || :
	pkill -9 -f "escrowfs.* import $S" || :
	wait || :
	run -0 --separate-stderr escrowfs import "$S" "$T/large"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	for i in 1 300 600; do
		assert_equal "$(base64 -d "$M/devices/$(printf '0E5C0A01-%04d-4000-8000-000000000000' "$i")/token")" "token $i"
	done
	run -0 --separate-stderr escrowfs import "$S" "$T/large"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same')" '0 0 607'
}

@test "no plaintext is left: not in the store, not on the trail, not in the output" {
	burn
	run -0 escrowfs import "$S" "$X"
	unmount
	run ! grep -rqF -e "$TOKEN_1" -e "$(base64 -d <<<"$TOKEN_1")" "$S" "$X"
	[[ $output != *"$TOKEN_1"* ]]
}

@test "a tree from the future is named and nothing of it stored; a number that nobody gives is another one" {
	burn
	sed -i 's/"20[0-9][0-9]-/"2199-/' "$X/devices/$A/security.json"
	sed -i 's/"Number": 1,/"Number": 2147483646,/' "$X/devices/0E5C0A00-0006-4000-8000-000000000006/security.json"
	run -1 --separate-stderr escrowfs import "$S" "$X/devices/$A"
	assert_has "$stderr" "device $A: its security.json tells of 2199-"
	assert_has "$stderr" 'set the clock, and take it in again'
	[ ! -e "$M/devices/$A" ]
	sed -i 's/"DeviceId": [0-9]*/"DeviceId": 70368744177664/' "$X/devices/0E5C0A00-0006-4000-8000-000000000006/security.json"
	run -0 --separate-stderr escrowfs import "$S" "$X/devices/0E5C0A00-0006-4000-8000-000000000006"
	D=$M/devices/0E5C0A00-0006-4000-8000-000000000006
	[ "$(json_of '["Escrow"]["DeviceId"]')" -lt 1000 ]
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(escrowfs history "$S" "${D##*/}" | awk 'NR > 1 { print $1 }' | xargs)" '1 2'
	# Times of when it was taken away are told, too.
	mkdir -p "$T/forged/removed" && cp -a "$X/removed/$C" "$T/forged/removed/$UDID"
	sed -i "s/$C/$UDID/; "'s/"RemovedAt": "20[0-9][0-9]-/"RemovedAt": "2199-/' "$T/forged/removed/$UDID/security.json"
	run -1 --separate-stderr escrowfs import "$S" "$T/forged"
	assert_has "$stderr" "its security.json tells of 2199-"
}

# ---- restored in pieces ----

# Whatever came in first, with the whole backup all is as if that had come alone.
pieces_come_together() {
	local what=$1
	burn
	escrowfs import "$S" "$T/piece" >"$T/out" 2>&1 || :
	run -0 --separate-stderr escrowfs import "$S" "$X"
	echo "$what: $output"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	escrowfs history "$S" "$A" | cut -c9- | sort >"$T/now"
	cut -c9- "$T/history" | sort | diff - "$T/now"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$X"
	assert_equal "$(row 'tokens new') $(row refused)" '0 0'
	assert_equal "$(state)" "$before"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "a restore that was cut short, and then the whole of it: each token once, with its time, and the current one current" {
	local d=$T/piece/devices
	for what in security.json 'security.json token' 'security.json history' token history 'token history'; do
		rm -rf "$T/piece"
		mkdir -p "$d"
		cp -a "$X/devices/$A" "$d/"
		for file in $what; do rm -r "${d:?}/$A/$file"; done
		pieces_come_together "without $what"
	done
	# An older token in the place of the current one, and nothing that tells how old it is.
	rm -rf "$T/piece"
	mkdir -p "$d/$A"
	cp "$X/devices/$A/history/1.pem" "$d/$A/token"
	pieces_come_together 'an old token'
	: >"$d/$A/security.json"
	pieces_come_together 'an empty security.json'
}

@test "pieces of a restore into a store that goes on: what is newer stays, and nothing is there twice" {
	echo "$TOKEN_2" >"$M/devices/$A/token"
	rm "$X/devices/$A/security.json"
	run -1 --separate-stderr escrowfs import "$S" "$X/devices/$A"
	assert_equal "$(row 'tokens new') $(row 'tokens the same')" '0 2'
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
	assert_equal "$(escrowfs history "$S" "$A" | awk 'NR > 1 { print $1 }' | xargs)" '1 2 3'
}

# ---- hostile ones ----

# A seal to this store's recipients, which anybody can make who has their certificates: forge UDID TOKEN
forge() {
	[ -e "$T/evil.crt" ] || openssl x509 -in "$S.recovery.pem" -out "$T/evil.crt"
	[ -d "$T/evil" ] || escrowfs init "$T/evil" --recipient "$T/evil.crt" --no-recovery >/dev/null
	mkdir -p "$T/forge"
	set_token "$2" "$1" >"$T/forge/message"
	escrowfs import "$T/evil" "$T/forge/message" >/dev/null
	rm -rf "$T/evil.out"
	escrowfs export "$T/evil" --to tree "$T/evil.out" "$1" >/dev/null
	cat "$T/evil.out/devices/$1/token"
}

@test "a forged seal doesn't take the place of one that nobody had opened" {
	burn
	unmount
	mv "$S.recovery.pem" "$T/away.pem"
	escrowfs import "$S" "$X" >"$T/out"
	mv "$T/away.pem" "$S.recovery.pem"
	cp -a "$X" "$T/genuine"
	forge "$A" "$(base64 <<<evil)" >"$T/pem"
	cp "$T/pem" "$X/devices/$A/token"
	run -0 --separate-stderr escrowfs import "$S" "$X"
	mount_again
	# The genuine one is there still, whatever came beside it.
	run -0 --separate-stderr escrowfs import "$S" "$T/genuine"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
}

@test "without security.json, or with a planted old version, the current token stays the current one" {
	burn
	mkdir "$T/a" "$T/b"
	cp -a "$X/devices/$A" "$T/a/"
	rm "$T/a/$A/security.json"
	run -1 --separate-stderr escrowfs import "$S" "$T/a"
	assert_has "$stderr" "$A: security.json isn't there; its tokens come in without it"
	assert_equal "$(row 'tokens new') $(row 'of them, old')" '2 1'
	assert_has "$(escrowfs history "$S" "$A")" unknown
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	burn
	cp -a "$X/devices/$A" "$T/b/"
	forge "$A" "$(base64 <<<evil)" >"$T/b/$A/history/7.pem"
	run -0 --separate-stderr escrowfs import "$S" "$T/b"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	sealed "$T/again"
	burn
	run -0 --separate-stderr escrowfs import "$S" "$T/again"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
}

@test "a time somewhat in the future is now: what comes after it is newer" {
	burn
	mkdir "$T/a"
	cp -a "$X/devices/$A" "$T/a/"
	later=$(date -u -d '+20 hours' +%FT%T.000Z)
	python3 - "$T/a/$A/security.json" "$later" <<'PY'
import json, sys
j = json.load(open(sys.argv[1]))
j["Escrow"]["EscrowedAt"] = j["Escrow"]["Versions"][-1]["EscrowedAt"] = sys.argv[2]
json.dump(j, open(sys.argv[1], "w"), indent=2)
PY
	run -0 --separate-stderr escrowfs import "$S" "$T/a"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	set_token "$TOKEN_2" "$A" | checkin
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
}

@test "what nobody can open takes the place of no token that was opened, until somebody can" {
	burn
	escrowfs import "$S" "$X" >"$T/out"
	cp -a "$S" "$T/keep"
	echo "$TOKEN_2" >"$M/devices/$A/token"
	sealed "$T/later"
	unmount
	rm -rf "$S" && mv "$T/keep" "$S"
	mv "$S.recovery.pem" "$T/away.pem"
	run -0 --separate-stderr escrowfs import "$S" "$T/later/devices/$A"
	assert_equal "$(row 'tokens unverified')" 1
	mv "$T/away.pem" "$S.recovery.pem"
	mount_again
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	run -0 --separate-stderr escrowfs import "$S" "$T/later/devices/$A"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "memory is bounded, whatever a device's directory has" {
	burn
	for i in $(seq 40); do
		d=$T/huge/devices/$(printf '0E5C0A02-%04d-4000-8000-000000000000' "$i")
		mkdir -p "$d/history"
		for n in $(seq 60); do printf -- '-----BEGIN CMS-----\n' >"$d/history/$n.pem" && truncate -s 250K "$d/history/$n.pem"; done
		touch $(seq -f "$d/x%g" 3000)
	done
	# (A sanitizer's shadow is terabytes.)
	run -1 --separate-stderr bash -c "[ -n '${ESCROWFS_ASAN-}' ] || ulimit -v 900000; exec '$ESCROWFS' import '$S' '$T/huge'"
	assert_equal "$(grep -c 'of this device isn' <<<"$stderr")" 40
	assert_equal "$(ls "$M/devices")" ''
}

@test "a copy of an open mount has tokens in the clear: none is taken in, and none is told" {
	mkdir -p "$T/plain"
	cp -a "$M/devices" "$T/plain/"
	burn
	run -1 --separate-stderr escrowfs import "$S" "$T/plain"
	assert_has "$stderr" "$A/token: it is no seal in PEM; a plain token is written to the file"
	[[ $stderr$output != *"$TOKEN_1"* ]]
	assert_equal "$(cat "$M/devices/$A/token")" ''
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# Stores and backups of older programs, whose seals hold the message as XML: they are served, verified and
# brought back like any other, and what is sealed anew holds a binary property list.

load helper

LONG=$(for _ in $(seq 25); do printf 'a long token'; done | base64 -w 0)

# The store that is kept here, mounted: UDID has TOKEN_1, and had TOKEN_2; LONG has a token of 300 bytes; GONE had
# TOKEN_2, and was taken away.
prepare() {
	mkdir -m 0700 "$S"
	sqlite3 "$S/escrow.db" <"$BATS_TEST_DIRNAME/xml_seals/store.sql"
	install -m 0600 "$BATS_TEST_DIRNAME/xml_seals/daily.pem" "$S.key.pem"
	install -m 0600 "$BATS_TEST_DIRNAME/xml_seals/recovery.pem" "$S.recovery.pem"
	# Its schema, too, is an older one.
	escrowfs status "$S" >"$T/status"
	D=$M/devices/$UDID X=$T/sealed
}

# A copy of the store's sealed tree.
backup() { # backup DIR
	mkdir "$X"
	escrowfs mount "$S" "$X" -o sealed
	rsync -aA "$X/" "$1/"
	umount "$X"
	rmdir "$X"
}

# A store that anyone who has the recovery key of the old one can open, and the old one's key.
new_store() {
	S=$T/new
	escrowfs init "$S" --no-recovery --recipient "$T/store.recovery.pem" >"$T/init.out"
}

# All is sealed anew, to one recipient more.
turn_over() {
	(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
		-subj "/CN=escrowfs daily key" -keyout "$T/another.key.pem" -out "$T/another.pem" 2>/dev/null)
	escrowfs rekey "$S" --add "$T/another.pem"
}

# What each seal of a tree holds: XML or binary. And how many there are of each.
forms() {
	find "$1" -type f \( -name token -o -name '*.pem' \) -size +0 | while read -r pem; do
		openssl cms -decrypt -inform PEM -in "$pem" -inkey "$T/store.recovery.pem" | head -c 6 | tr -d '\0'
		echo
	done | sort | uniq -c | awk '{ print $1, $2 }' | paste -sd ' '
}

# It gives back all that it should.
assert_served() {
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(cat "$M/devices/LONG/token")" "$LONG"
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	run -0 escrowfs verify "$S"
	assert_has "$output" '4 seals opened: nothing is wrong'
	escrowfs restore "$S" "$UDID" 1 >/dev/null
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "a store of them is served and verified, an old version comes back, and another device's is refused" {
	run -0 escrowfs verify "$S"
	assert_has "$output" '4 seals opened: nothing is wrong'
	mount_again
	assert_equal "$(stat -c %s "$D/token" "$M/devices/LONG/token" | paste -sd ' ')" '37 401'
	assert_served
	unmount
	# Sealed and moved to another device, it doesn't open there.
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 1) WHERE version =
		(SELECT v.id FROM version v JOIN device d ON d.id = v.device WHERE d.udid = 'LONG')"
	mount_again
	assert_equal "$(errno_of 'open(p)' "$M/devices/LONG/token")" EBADMSG
}

@test "a sealed mount shows them as they are; as PEM one can be written to another mount, and is sealed anew" {
	backup "$T/tree"
	assert_equal "$(forms "$T/tree")" '4 <?xml'
	mount_again
	truncate -s 0 "$D/token"
	cat "$T/tree/devices/$UDID/token" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	backup "$T/again"
	assert_equal "$(forms "$T/again")" '4 <?xml 1 bplist'
}

@test "what is escrowed is sealed as a binary property list, and is a confirmation or a replay all the same" {
	mount_again
	echo "$TOKEN_1" >"$D/token"
	assert_has "$(trail)" '"action":"confirm"'
	echo "$TOKEN_2" >"$D/token"
	assert_has "$(trail)" 'the token equals version 1'
	backup "$T/tree"
	assert_equal "$(forms "$T/tree")" '4 <?xml 1 bplist'
	# Neither that which was nor that which is depends on which form it is in.
	escrowfs export "$S" --to messages "$T/out" "$UDID" >/dev/null
	assert_equal "$(head -c 5 "$T/out/$UDID.plist")" '<?xml'
	assert_equal "$(reply_token <"$T/out/$UDID.plist")" "$TOKEN_2"
}

@test "rekey makes binary ones of them" {
	mount_again
	run -0 --separate-stderr turn_over
	assert_has "$output" '4 versions'
	backup "$T/tree"
	assert_equal "$(forms "$T/tree")" '4 bplist'
	assert_served
}

@test "a backup of them into a new store: with the recovery key all are sealed anew, as binary ones" {
	backup "$T/tree"
	new_store
	mount_again
	run -0 --separate-stderr escrowfs import "$S" --key "$T/store.recovery.pem" "$T/tree"
	assert_equal "$stderr" ''
	assert_equal "$(stat -c %s "$D/token" "$M/devices/LONG/token" | paste -sd ' ')" '37 401'
	backup "$T/again"
	assert_equal "$(forms "$T/again")" '4 bplist'
	assert_served
	# The backup once more, and one of the new seals, change nothing.
	before=$(lines)
	run -0 escrowfs import "$S" --key "$T/store.recovery.pem" "$T/tree"
	assert_has "$output" ': 0 took effect'
	assert_equal "$(lines)" "$before"
}

@test "without a key they are kept as they are, their sizes known, until a key opens them" {
	backup "$T/tree"
	new_store
	run -0 --separate-stderr escrowfs import "$S" "$T/tree"
	backup "$T/again"
	assert_equal "$(forms "$T/again")" '4 <?xml'
	mount_again
	assert_equal "$(errno_of 'open(p)' "$D/token")" ENOKEY
	assert_equal "$(stat -c %s "$D/token" "$M/devices/LONG/token" | paste -sd ' ')" '37 401'
	unmount
	mount_again -o key="$T/store.recovery.pem"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	run -0 escrowfs status "$S"
	assert_equal "$(awk '$1 == "unverified" { print $2 }' <<<"$output")" 3
}

@test "a backup from after a rekey opens those that came with an older one and that no key had opened" {
	backup "$T/tree"
	turn_over >"$T/rekey.out" 2>&1
	backup "$T/later"
	assert_equal "$(forms "$T/later")" '4 bplist'
	new_store
	run -0 --separate-stderr escrowfs import "$S" "$T/tree"
	run -0 --separate-stderr escrowfs import "$S" --key "$T/store.recovery.pem" "$T/later"
	assert_has "$output" ': 3 took effect'
	run -0 escrowfs status "$S"
	[[ $output != *unverified* ]]
	mount_again -o key="$T/store.recovery.pem"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(escrowfs history "$S" "$UDID" | awk 'NR > 1 { print $1 }' | xargs)" '1 2'
	run -0 escrowfs verify "$S" --key "$T/store.recovery.pem"
	assert_has "$output" '4 seals opened: nothing is wrong'
}

@test "binary ones without a key: their sizes, too, or less, and what they are once they were opened" {
	local size name
	new_store
	mount_again
	# In the first two of these lengths is no XML; one of the others may be taken for it.
	for size in 1 192 300 301 302 303 304; do
		mkdir "$M/devices/SIZE-$size"
		head -c "$size" /dev/zero | base64 -w 0 >"$M/devices/SIZE-$size/token"
	done
	backup "$T/tree"
	unmount
	S=$T/third
	escrowfs init "$S" --no-recovery --recipient "$T/store.recovery.pem" >"$T/init.out"
	run -0 --separate-stderr escrowfs import "$S" "$T/tree"
	assert_has "$output" 'tokens unverified'
	mount_again -o key="$T/store.recovery.pem"
	for size in 1 192 300 301 302 303 304; do
		name=$M/devices/SIZE-$size/token
		exact=$(($(head -c "$size" /dev/zero | base64 -w 0 | wc -c) + 1))
		[ "$(stat -c %s "$name")" -le "$exact" ]
		[ "$size" -gt 192 ] || assert_equal "$(stat -c %s "$name")" "$exact"
		# Whoever opens it is told its size by then.
		tar -C "$M/devices" -cf "$T/tar" "SIZE-$size/token"
		assert_equal "$(tar -xOf "$T/tar" | base64 -d | wc -c)" "$size"
		assert_equal "$(stat -c %s "$name")" "$exact"
	done
}

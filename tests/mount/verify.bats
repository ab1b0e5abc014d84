#!/usr/bin/env bats
# What verify holds against what: each value that somebody changes by hand, and that follows from others or
# from the trail, is found. (audit.bats has the trail itself and the seals, attack.bats what it is for.)
load helper

OTHER=11111111-5CF9-4C9E-9AD4-8D1E41D5FE3E
CERTIFICATE=$(printf 'a%.0s' {1..64}) STRANGE=$(printf 'b%.0s' {1..64})

sql() { sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "$@"; }

# A device with a past, with a name, a certificate, a stranger's, and settings of its own.
prepare() {
	mount_new -o identity=strict
	device "$OTHER"
	echo "$TOKEN_2" >"$D/token"
	device
	echo '{"SerialNumber": "C02X", "MacAddress": "00:11:22:33:44:55", "OSVersion": "14.1"}' >"$D/security.json"
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token"
	{ printf 'Identity: %s\n\n' "$CERTIFICATE" && get_token; } | checkin >/dev/null
	if { printf 'Identity: %s\n\n' "$STRANGE" && get_token; } | checkin >/dev/null; then false; fi
	chmod 0640 "$D/token"
	setfacl -m u:1001:r "$D/token"
	chown 1001 "$D/security.json"
	chmod 0750 "$D"
	setfacl -d -m u:1001:r "$D"
	chgrp 1002 "$M/policy/token"
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	cp -r "$S" "$T/good"
}

# changed SQL WORDS: verify fails and says WORDS.
changed() {
	rm -rf "$S" && cp -r "$T/good" "$S"
	sql "$1"
	run -1 escrowfs verify "$S"
	assert_has "$output" "$2"
}

VERSION="device = (SELECT id FROM device WHERE udid = '$UDID') AND number"
ID="(SELECT id FROM device WHERE udid = '$UDID')"

@test "versions: which is current, why and when the others ended, when they came, whether they were opened" {
	changed "UPDATE version SET ended_at = 5, ending = 1 WHERE $VERSION = 3" \
		"device $UDID, version 3: it is kept as one that ended"
	changed "UPDATE version SET ended_at = 5, ending = 1 WHERE $VERSION = 3; UPDATE version SET ended_at = 0, ending = 0 WHERE $VERSION = 2" \
		"device $UDID, version 2: it is kept as the current one"
	changed "UPDATE version SET ended_at = ended_at - 1 WHERE $VERSION = 1" "version 1: when it ended"
	changed "UPDATE version SET ended_at = ended_at - 1 WHERE $VERSION = 2" "version 2: when it ended"
	changed "UPDATE version SET ending = 1 WHERE $VERSION = 1" "version 1: why it ended"
	changed "UPDATE version SET ending = 1 WHERE $VERSION = 3" "version 3: why it ended"
	changed "UPDATE version SET escrowed_at = escrowed_at + 1 WHERE $VERSION = 3" "version 3: when it was escrowed"
	changed "UPDATE version SET confirmed_at = confirmed_at + 1 WHERE $VERSION = 3" "version 3: when it was confirmed"
	changed "UPDATE version SET confirmed_at = 1 WHERE $VERSION = 2" "version 2: when it was confirmed"
	changed "UPDATE version SET verified = 0 WHERE $VERSION = 2" "version 2: whether it was ever opened"
	changed "UPDATE version SET renewal = 1 WHERE $VERSION = 3" "version 3: whether the device enrolled since"
	changed "UPDATE version SET generation = 1000 WHERE $VERSION = 3" 'recipients that there never were'
}

@test "versions of a device that was taken away: none is current" {
	rm -rf "$S" && cp -r "$T/good" "$S"
	mount_again
	truncate -s 0 "$M/devices/$OTHER/token"
	rmdir "$M/devices/$OTHER"
	unmount
	run -0 escrowfs verify "$S"
	sql "UPDATE version SET ended_at = 0, ending = 0 WHERE device = (SELECT id FROM device WHERE udid = '$OTHER')"
	run -1 escrowfs verify "$S"
	assert_has "$output" "device $OTHER, version 1: it is kept as the current one, and the trail says that its device was taken away"
	# The name comes again, and its numbers go on.
	sql "UPDATE version SET ended_at = (SELECT at FROM trail WHERE line LIKE '%\"remove\"%$OTHER%'), ending = 2
		WHERE device = (SELECT id FROM device WHERE udid = '$OTHER')"
	run -0 escrowfs verify "$S"
	mount_again
	mkdir "$M/devices/$OTHER"
	echo "$TOKEN_1" >"$M/devices/$OTHER/token"
	unmount
	run -0 escrowfs verify "$S"
}

@test "a device: its certificate, a stranger's, its last retrieval, its last number" {
	changed "UPDATE device SET identity = '$STRANGE' WHERE id = $ID" "device $UDID: the client certificate that it is bound to"
	changed "UPDATE device SET identity = '' WHERE id = $ID" "device $UDID: the client certificate that it is bound to"
	changed "UPDATE stranger SET identity = '$CERTIFICATE'" "device $UDID: the client certificate that it came with last"
	changed 'UPDATE stranger SET at = at + 1' "device $UDID: the client certificate that it came with last"
	changed 'DELETE FROM stranger' "device $UDID: the client certificate that it came with last"
	changed "INSERT INTO stranger SELECT id, '$STRANGE', 1 FROM device WHERE udid = '$OTHER'" "device $OTHER: the store says that it came with"
	changed "UPDATE device SET retrieved_at = retrieved_at - 1 WHERE id = $ID" "device $UDID: its token was retrieved later"

	# A number that was purged is given to no other version.
	rm -rf "$S" && cp -r "$T/good" "$S"
	mount_again
	truncate -s 0 "$M/devices/$OTHER/token"
	unmount
	escrowfs purge "$S" --before "$(date -u +%FT%T.%3NZ)" --yes
	run -0 escrowfs verify "$S"
	rm -rf "$T/good" && cp -r "$S" "$T/good"
	changed "UPDATE device SET last_version = 0 WHERE udid = '$OTHER'" "device $OTHER: the trail names its version 1"
}

@test "names: each is its device's, and nobody else's" {
	changed "UPDATE bearer SET device = (SELECT id FROM device WHERE udid = '$OTHER') WHERE name = (SELECT id FROM name WHERE name = 'c02x')" \
		"device $OTHER: its names under /search"
	assert_has "$output" "device $UDID: its names under /search"
	changed "UPDATE name SET name = 'c02y' WHERE name = 'c02x'" "device $UDID: its names under /search"
	changed "UPDATE name SET kind = 2 WHERE name = 'c02x'" "device $UDID: its names under /search"
	changed "DELETE FROM bearer WHERE name = (SELECT id FROM name WHERE name = '001122334455')" 'no device bears'
	assert_has "$output" "device $UDID: its names under /search"
	changed "INSERT INTO name (kind, name) VALUES (0, 'nobody')" 'no device bears'
}

@test "owners, modes and ACLs: what the trail says was set, is; and nothing else" {
	changed "UPDATE access SET mode = 438 WHERE node = $ID * 4 + 3" "device $UDID: owner, mode and ACL of inode"
	assert_has "$output" 'are 0666 '
	changed "UPDATE access SET uid = 1002 WHERE node = $ID * 4 + 1" "device $UDID: owner, mode and ACL of inode"
	assert_has "$output" 'to 0640 1001:0'
	changed "UPDATE access SET gid = 1002 WHERE node = $ID * 4 + 1" "device $UDID: owner, mode and ACL of inode"
	changed "UPDATE access SET acl = x'' WHERE length(acl)" "device $UDID: owner, mode and ACL of inode"
	changed "UPDATE access SET default_acl = x'' WHERE length(default_acl)" "device $UDID: owner, mode and ACL of inode"
	changed "DELETE FROM access WHERE node = $ID * 4 + 3; UPDATE device SET pinned = pinned & 7 WHERE id = $ID" 'the store has nothing of it'
	changed "INSERT INTO access SELECT node + 1, uid, gid, mode, acl, default_acl, 1 FROM access WHERE node = $ID * 4 + 1;
		UPDATE device SET pinned = pinned | 4 WHERE id = $ID" "doesn't say that anybody set them"
	changed "UPDATE access SET gid = 1001 WHERE node < 256" 'owner, mode and ACL of inode'
	changed 'DELETE FROM access WHERE node < 256' 'the store has nothing of it'
}

@test "the trail's times, and the number of the last change" {
	changed 'UPDATE trail SET at = at + 1000000 WHERE seq = 3' 'trail: line 3 is of'
	changed 'UPDATE head SET trail_at = trail_at + 1' 'its last line was added at another time'
	changed 'UPDATE head SET change = change - 1' "the number of its last change"
	changed 'UPDATE head SET change = change + 1' "the number of its last change"
}

# A store like it, into which what was restored comes.
second() { # second IMPORT-ARGUMENT...
	[ -e "$T/second" ] || escrowfs init "$T/second" >"$T/second.out"
	escrowfs import "$T/second" "$@" >"$T/second.import"
	run -0 escrowfs verify "$T/second"
}
exported() { # exported DIR
	install -d -m 0700 "$1"
	escrowfs export "$S" --to tree "$1" >/dev/null
}

@test "nothing is found where nothing is wrong: a device taken away twice, with backups from between" {
	mount_again
	mkdir "$M/devices/X"
	echo "$TOKEN_1" >"$M/devices/X/token"
	truncate -s 0 "$M/devices/X/token"
	rmdir "$M/devices/X"
	mkdir "$M/devices/X"
	echo "$TOKEN_2" >"$M/devices/X/token"
	exported "$T/b1"
	truncate -s 0 "$M/devices/X/token"
	rmdir "$M/devices/X"
	exported "$T/b2"
	second --key "$S.key.pem" "$T/b1"
	second --key "$S.key.pem" "$T/b2"
	# Its token has ended there, and with it here.
	mkdir "$T/second.mnt"
	escrowfs mount "$T/second" "$T/second.mnt"
	word=$(cat "$T/second.mnt/devices/X/bootstrap_status")
	size=$(stat -c %s "$T/second.mnt/devices/X/token")
	umount "$T/second.mnt"
	assert_equal "$word $size" 'not_escrowed 0'

	# A number is given once, also to what comes to the past of a name.
	printf 'udid,serial,token,escrowed_at\nX,S1,b2xk,2024-01-01T00:00:00Z\n' >"$T/old.csv"
	escrowfs import "$S" "$T/old.csv" >"$T/import.out"
	run -0 escrowfs verify "$S"
	run -0 escrowfs history "$S" X
	assert_equal "$(awk 'NR > 1 { print $1 }' <<<"$output" | sort | uniq -d)" ''
}

@test "nothing is found where nothing is wrong: an old token from a file with a long name" {
	mount_again
	mkdir "$M/devices/X"
	echo "$TOKEN_1" >"$M/devices/X/token"
	local long
	long=$T/$(head -c 120 /dev/zero | tr '\0' a)/$(head -c 120 /dev/zero | tr '\0' b)
	mkdir -p "$long"
	printf 'udid,serial,token,escrowed_at\nX,S1,b2xk,2024-01-01T00:00:00Z\n' >"$long/old.csv"
	escrowfs import "$S" "$long/old.csv" >"$T/import.out"
	run -0 escrowfs verify "$S"
}

@test "nothing is found where nothing is wrong: tokens that nobody opened here end elsewhere, or come again" {
	mount_again
	mkdir "$M/devices/X" "$M/devices/Y"
	echo "$TOKEN_1" >"$M/devices/X/token"
	echo "$TOKEN_2" >"$M/devices/Y/token"
	exported "$T/b1"
	openssl x509 -in "$S.key.pem" >"$T/first.cert"
	escrowfs init "$T/second" --recipient "$T/first.cert" >"$T/second.out"
	second "$T/b1"
	truncate -s 0 "$M/devices/X/token"
	exported "$T/b2"
	second "$T/b2"
}

@test "what can't be read is a finding, and all the rest is looked at; nobody is sent to verify" {
	changed "UPDATE version SET ending = 65 WHERE $VERSION = 1; UPDATE device SET identity = '$STRANGE' WHERE udid = '$OTHER';
		UPDATE sealed SET blob = x'00' WHERE version = (SELECT id FROM version WHERE $VERSION = 3)" 'a value is out of its range'
	assert_has "$output" "device $UDID, version 3: its blob isn't the one"
	assert_has "$output" "device $OTHER: the client certificate that it is bound to"
	assert_has "$output" 'finding'
	run ! grep -q 'escrowfs verify' <<<"$output"
	changed "UPDATE device SET status = 77 WHERE id = $ID; UPDATE device SET identity = '$STRANGE' WHERE udid = '$OTHER'" \
		'device number'
	assert_has "$output" "device $OTHER: the client certificate that it is bound to"
	changed "DELETE FROM sealed WHERE version = (SELECT id FROM version WHERE $VERSION = 1);
		UPDATE device SET identity = '$STRANGE' WHERE udid = '$OTHER'" "device $UDID, version 1: its seal is gone"
	assert_has "$output" "device $OTHER: the client certificate that it is bound to"

	# A page of the trail is no page any more.
	rm -rf "$S" && cp -r "$T/good" "$S"
	sql "UPDATE sealed SET blob = x'00' WHERE version = (SELECT id FROM version WHERE $VERSION = 3);
		UPDATE device SET token_size = 5 WHERE udid = '$OTHER'"
	python3 - "$S/escrow.db" "$(sql "SELECT rootpage FROM sqlite_schema WHERE name = 'trail'")" <<'PY'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek((int(sys.argv[2]) - 1) * 4096)
    file.write(b"\xff" * 16)
PY
	run -1 escrowfs verify "$S"
	assert_has "$output" 'the store is damaged'
	assert_has "$output" "device $UDID, version 3: its hash isn't its blob's"
	assert_has "$output" "device $OTHER: the size of its token"
	run ! grep -q 'knows nothing of it' <<<"$output"
}

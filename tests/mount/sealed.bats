#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012,SC2154 # tests are subshells; UDID is a plain word
# Sealed mounts: the tree as of one moment, read-only, each token as the PEM of its seal.

load helper

prepare() {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	chmod 0640 "$D/token"
	chgrp 4321 "$D/token"
	mkdir "$T/sealed"
	X=$T/sealed
}

seal() { escrowfs mount "$S" "$X" -o sealed; }

@test "stock openssl opens a token with either key, and it names its device" {
	seal
	for key in key recovery; do
		openssl cms -decrypt -inform PEM -in "$X/devices/$UDID/token" -inkey "$S.$key.pem" -out "$T/plist"
		run -0 python3 -c 'import base64, plistlib, sys
p = plistlib.load(open(sys.argv[1], "rb"))
print(p["MessageType"], p["UDID"], base64.b64encode(p["BootstrapToken"]).decode())' "$T/plist"
		assert_equal "$output" "SetBootstrapToken $UDID $TOKEN_1"
	done
	run -0 openssl cms -cmsout -print -noout -inform PEM -in "$X/devices/$UDID/token"
	assert_has "$output" authEnvelopedData
	assert_has "$output" aes-256-gcm
}

@test "it needs no key, has no checkin, metrics or policy, and can't be written" {
	mv "$S.key.pem" "$T/away"
	seal
	assert_equal "$(ls "$X" | tr '\n' ' ')" 'audit devices removed search '
	assert_equal "$(cat "$X/devices/$UDID/bootstrap_status")" escrowed
	for what in 'os.open(p + "/devices/'$UDID'/token", os.O_WRONLY)' 'os.mkdir(p + "/devices/X")' 'os.unlink(p + "/audit")' \
		'os.chmod(p + "/audit", 0o600)' 'os.truncate(p + "/devices/'$UDID'/token", 0)' 'os.utime(p + "/audit")'; do
		assert_equal "$(errno_of "$what" "$X")" EROFS
	done
}

@test "one point in time, while the writing mount goes on" {
	seal
	find "$X" -type f | sort | xargs md5sum >"$T/before"
	find "$X" -printf '%P %i %s %m %u %g %T@ %C@\n' | sort >>"$T/before"
	echo "$TOKEN_2" >"$D/token"
	cat "$D/token"
	mkdir "$M/devices/LATER"
	[ ! -e "$X/devices/LATER" ]
	find "$X" -type f | sort | xargs md5sum >"$T/after"
	find "$X" -printf '%P %i %s %m %u %g %T@ %C@\n' | sort >>"$T/after"
	diff "$T/before" "$T/after"
}

@test "it writes nothing to the store, and two of an unchanged one are alike" {
	unmount
	md5sum "$S/escrow.db" >"$T/sum"
	local n
	for n in 1 2; do
		seal
		find "$X" -type f | sort | xargs md5sum >"$T/$n"
		find "$X" -mindepth 1 -printf '%P %i %s %m %U %G %T@ %C@\n' | sort >>"$T/$n"
		umount "$X"
		sleep 0.3
	done
	diff "$T/1" "$T/2"
	md5sum -c "$T/sum"
}

@test "two sealed mounts at once, beside the writing one" {
	mkdir "$T/other"
	seal
	escrowfs mount "$S" "$T/other" -o sealed
	diff -r "$X" "$T/other"
}

@test "modes are shown for the restore; sizes are exact; tar, rsync and cp -a copy it" {
	seal
	assert_equal "$(stat -c '%a %g' "$X/devices/$UDID/token")" '640 4321'
	assert_equal "$(stat -c %s "$X/devices/$UDID/token")" "$(wc -c <"$X/devices/$UDID/token")"
	tar -C "$X" -cf "$T/tar" .
	tar -C "$X" -df "$T/tar"
	rsync -a "$X/" "$T/rsync/"
	diff -r "$X" "$T/rsync"
	cp -a "$X" "$T/cp"
	diff -r "$X" "$T/cp"
	assert_equal "$(stat -c '%a %g %Y' "$T/rsync/devices/$UDID/token")" "$(stat -c '%a %g %Y' "$X/devices/$UDID/token")"
}

@test "reading it leaves no retrieval on the trail: no token left" {
	local before
	before=$(lines)
	seal
	cat "$X/devices/$UDID/token" >/dev/null
	assert_equal "$(lines)" "$before"
	run -1 grep -r "$TOKEN_1" "$X"
}

@test "its files are read in any way: at offsets, in pieces, mapped, by a descriptor that was passed on" {
	seal
	run -0 python3 - "$X/devices/$UDID/token" "$X/audit" <<'PY'
import mmap, os, sys
for path in sys.argv[1:]:
    whole = open(path, "rb").read()
    assert len(whole) == os.stat(path).st_size > 20
    fd = os.open(path, os.O_RDONLY)
    assert os.pread(fd, 7, 11) == whole[11:18]
    assert os.pread(fd, 100, len(whole)) == b""
    assert b"".join(iter(lambda: os.read(fd, 13), b"")) == whole
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
        assert view[:] == whole
    os.close(fd)
PY
	{ read -r first && cat; } <"$X/devices/$UDID/token" >"$T/rest"
	assert_equal "$first" '-----BEGIN CMS-----'
	diff <(tail -n +2 "$X/devices/$UDID/token") "$T/rest"
}

@test "a seal that the store has lost is said where it is read, and the rest can be had" {
	echo "$TOKEN_2" >"$D/token"
	unmount
	sqlite3 "$S/escrow.db" 'DELETE FROM sealed'
	seal
	assert_equal "$(errno_of 'open(p, "rb").read()' "$X/devices/$UDID/token")" EBADMSG
	assert_equal "$(errno_of 'open(p, "rb").read()' "$X/devices/$UDID/history/1.pem")" EBADMSG
	assert_equal "$(cat "$X/devices/$UDID/bootstrap_status")" escrowed
	run -2 tar -C "$X" -cf "$T/tar" devices
	assert_has "$output" 'token'
	tar -tf "$T/tar" "devices/$UDID/security.json"
	run -1 --separate-stderr escrowfs export "$S" --to tree "$T/tree"
	for version in 1 2; do
		assert_has "$stderr" "device $UDID, version $version: the store has lost its seal; restore the store from a backup"
	done
	[ -s "$T/tree/devices/$UDID/security.json" ]
}

@test "it can't be written either when root has made the mount one that can" {
	seal
	mount -i -o remount,rw "$X"
	local what
	md5sum "$X/devices/$UDID/token" "$X/devices/$UDID/security.json" "$X/audit" >"$T/sums"
	for what in 'os.write(os.open(p + "/devices/'$UDID'/token", os.O_RDWR), b"x\n")' \
		'os.write(os.open(p + "/devices/'$UDID'/token", os.O_WRONLY | os.O_TRUNC), b"x\n")' \
		'os.write(os.open(p + "/devices/'$UDID'/security.json", os.O_WRONLY), b"{}")' \
		'os.write(os.open(p + "/audit", os.O_WRONLY | os.O_APPEND), b"x")' \
		'os.truncate(p + "/devices/'$UDID'/token", 0)' 'os.mkdir(p + "/devices/X")' 'os.chmod(p + "/audit", 0o600)' \
		'os.rmdir(p + "/devices/'$UDID'")'; do
		assert_equal "$(errno_of "$what" "$X")" EROFS
	done
	md5sum -c "$T/sums"
}

@test "nothing is opened there, so a backup asks for what it reads and for nothing else" {
	escrowfs mount -d -o sealed "$S" "$X" 2>"$T/requests" &
	until mountpoint -q "$X"; do sleep 0.05; done
	device OTHER
	tar -C "$X" -cf "$T/tar" .
	rsync -a "$X/" "$T/rsync/"
	umount "$X"
	wait $!
	# Once each, until the kernel knows that there is nothing to be asked.
	local what
	for what in OPEN OPENDIR FLUSH ACCESS; do
		assert_equal "$what $(grep -c "opcode: $what " "$T/requests")" "$what 1"
	done
	run -1 grep 'opcode: RELEASE' "$T/requests"
}

@test "nobody else enters" {
	seal
	run -2 as 1234 ls "$X"
	run -2 escrowfs mount "$S" "$T/store.x" -o sealed,allow_other
}

@test "history has one PEM for each version that is not current, and openssl opens it" {
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	seal
	local h=$X/devices/$UDID/history
	assert_equal "$(ls "$h" | tr '\n' ' ')" '1.pem 2.pem '
	assert_equal "$(ls "$X/devices/$UDID" | tr '\n' ' ')" 'bootstrap_status history security.json token '
	assert_equal "$(stat -c %s "$h/2.pem")" "$(wc -c <"$h/2.pem")"
	openssl cms -decrypt -inform PEM -in "$h/2.pem" -inkey "$S.key.pem" -out "$T/plist"
	assert_equal "$(reply_token <"$T/plist")" "$TOKEN_2"
	run -1 stat "$h/3.pem"
	run -1 stat "$D/history"
	assert_equal "$(cd "$h/.." && stat -c %i .)" "$(cd "$h" && stat -c %i ..)"
}

@test "removed has the history of devices that were taken away, also of several of one name" {
	truncate -s 0 "$D/token"
	rmdir "$D"
	mkdir "$D" "$M/devices/NEVER"
	rmdir "$M/devices/NEVER"
	echo "$TOKEN_2" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	mkdir "$D"
	seal
	assert_equal "$(ls "$X/removed")" "$UDID"
	local r=$X/removed/$UDID
	assert_equal "$(ls -A "$r" "$r/history" | tr '\n' ' ')" "$r: history security.json  $r/history: 1.pem 2.pem "
	openssl cms -decrypt -inform PEM -in "$r/history/2.pem" -inkey "$S.recovery.pem" -out "$T/plist"
	assert_equal "$(reply_token <"$T/plist")" "$TOKEN_2"
	assert_equal "$(ls -A "$X/devices/$UDID/history")" ''
	[ ! -e "$M/removed" ]
	tar -C "$X" -cf "$T/tar" .
	tar -C "$X" -df "$T/tar"
}

@test "security.json says there what an import needs besides, a plain mount's has the contract's keys alone" {
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | checkin
	results QueryResponses '<key>ProductName</key><string>Mac14,2</string>' | checkin
	refute_file_has() { ! grep -q "$2" "$1"; }
	refute_file_has "$M/devices/$UDID/security.json" 'Reports\|ProductName'
	seal
	run -0 python3 - "$X/devices/$UDID/security.json" "$M/devices/$UDID/security.json" <<'PY'
import json, os, sys
sealed, plain = (json.load(open(f)) for f in sys.argv[1:])
assert os.stat(sys.argv[1]).st_size == len(open(sys.argv[1], "rb").read())
reports = sealed["Escrow"].pop("Reports")
assert sealed == plain
of = {r["Source"]: r for r in reports}
assert of["SecurityInfo"]["Facts"] == ["IsEncrypted"]
assert of["DeviceInformation"]["NotShown"] == ["ProductName=Mac14,2"]
assert of["DeviceInformation"]["At"] == plain["Escrow"]["FactsAt"]
PY
}

@test "removed/UDID/security.json has the number and the versions of a device that was taken away" {
	local id
	echo "$TOKEN_1" >"$D/token"
	id=$(json_of '["Escrow"]["DeviceId"]')
	truncate -s 0 "$D/token"
	rmdir "$D"
	seal
	run -0 python3 - "$X/removed/$UDID/security.json" "$UDID" "$id" <<'PY'
import json, os, sys
text = open(sys.argv[1]).read()
e = json.loads(text)["Escrow"]
assert os.stat(sys.argv[1]).st_size == len(text)
assert list(e) == ["Udid", "DeviceId", "Versions", "RemovedAt"]
assert e["Udid"] == sys.argv[2] and e["DeviceId"] == int(sys.argv[3])
assert [(v["Number"], v["Ended"]) for v in e["Versions"]] == [(1, "removed")]
PY
}

@test "a store that an older program served is brought up to date first" {
	unmount
	sqlite3 "$S/escrow.db" 'UPDATE store SET rendering = 0; UPDATE device SET sealed_size = 0, security_size = 1'
	run ! --separate-stderr seal
	assert_has "$stderr" "served last by an older escrowfs"
	assert_has "$stderr" "escrowfs status"
	escrowfs status "$S" >/dev/null
	seal
	assert_equal "$(stat -c %s "$X/devices/$UDID/security.json")" "$(wc -c <"$X/devices/$UDID/security.json")"
	mount_again
	assert_equal "$(stat -c %s "$D/security.json")" "$(cat "$D/security.json" | wc -c)"
}

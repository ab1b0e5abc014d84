#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell of its own, and meant to be
# shellcheck disable=SC2086,SC2153,SC2012 # UDID is a plain word of helper.bash's; names here are plain too
# Reading `token`: the retrieval, what it leaves on the trail, and what stands in its way.

load helper

prepare() { mount_new && device; }

@test "cat, cp, tar, dd and python read it; the size is exact" {
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(stat -c %s "$D/token")" $((${#TOKEN_1} + 1))
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	cp "$D/token" "$T/cp" && cmp "$T/cp" <(echo "$TOKEN_1")
	tar -C "$D" -cf "$T/tar" token && assert_equal "$(tar -xOf "$T/tar" token)" "$TOKEN_1"
	assert_equal "$(dd if="$D/token" bs=3 2>/dev/null)" "$TOKEN_1"
	python3 -c "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])" "$D/token" "$T/py"
	cmp "$T/py" "$T/cp"
	rsync -a "$D/token" "$T/rsync" && cmp "$T/rsync" "$T/cp"
}

@test "with none escrowed it is there and empty" {
	[ -e "$D/token" ]
	[ ! -s "$D/token" ]
	assert_equal "$(cat "$D/token")" ''
	echo "$TOKEN_1" >"$D/token"
	[ -s "$D/token" ]
}

@test "a retrieval is on the trail: who, which version" {
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token"
	assert_has "$(trail)" "\"action\":\"retrieve\",\"outcome\":\"ok\",\"udid\":\"$UDID\",\"version\":1,\"uid\":0"
	assert_has "$(trail)" '"command":"cat"'
	assert_has "$(json_of '["Escrow"]["RetrievedAt"]')" T
}

@test "stat, ls -l and find retrieve nothing" {
	echo "$TOKEN_1" >"$D/token"
	local before
	before=$(lines)
	stat "$D/token"
	ls -lR "$M/devices"
	find "$M" -type f -size +1c -newermt 2020-01-01
	[ -s "$D/token" ]
	getfacl -p "$D/token"
	assert_equal "$(lines)" "$before"
}

@test "O_RDWR is a retrieval, O_WRONLY is none" {
	echo "$TOKEN_1" >"$D/token"
	exec 4<>"$D/token" 4>&-
	assert_has "$(trail)" '"action":"retrieve"'
	local before
	before=$(lines)
	exec 4>"$D/token" 4>&-
	assert_equal "$(lines)" "$before"
}

@test "a descriptor reads what it was opened on, whatever happens to the token later" {
	echo "$TOKEN_1" >"$D/token"
	exec 4<"$D/token" 5<"$D/token" 6<"$D/token"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat <&4)" "$TOKEN_1"
	truncate -s 0 "$D/token"
	assert_equal "$(cat <&5)" "$TOKEN_1"
	chmod 0 "$D/token"
	assert_equal "$(cat <&6)" "$TOKEN_1"
}

@test "never through the page cache: mmap, splice and sendfile fail" {
	echo "$TOKEN_1" >"$D/token"
	run -0 python3 - "$D/token" "$T/out" <<'PY'
import errno, mmap, os, socket, sys
path, out = sys.argv[1:]
fd = os.open(path, os.O_RDONLY)
to = os.open(out, os.O_WRONLY | os.O_CREAT)
size = os.fstat(fd).st_size
for what in (lambda: os.sendfile(to, fd, 0, size), lambda: os.splice(fd, os.pipe()[1], size) if hasattr(os, "splice") else os.sendfile(to, fd, 0, size)):
    try:
        what()
        sys.exit("went through")
    except OSError as e:
        assert e.errno == errno.EIO, e
for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
    pid = os.fork()
    if pid == 0:
        try:
            m = mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ)
        except OSError:
            os._exit(3)
        os._exit(0 if m[:1] == b"" else 1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 3, status
assert os.read(fd, 100).strip() != b""
PY
	[ ! -s "$T/out" ]
}

@test "a mount without a key escrows and answers, but retrieves nothing: ENOKEY" {
	unmount
	mv "$S.key.pem" "$T/away"
	run -0 escrowfs mount "$S" "$M"
	assert_has "$output" 'key'
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	assert_has "$(trail)" '"action":"confirm"'
	assert_equal "$(status_of)" escrowed
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" ENOKEY
	assert_equal "$(errno_of 'os.open(p, os.O_RDWR)' "$D/token")" ENOKEY
	assert_has "$(trail)" '"outcome":"ENOKEY"'
	get_token >"$T/get"
	run -1 bash -c "cat '$T/get' >&3" 3<>"$M/checkin"
	unmount
	mount_again -o "key=$T/away"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a damaged blob, and one of another device, is EBADMSG" {
	mkdir "$M/devices/OTHER"
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$M/devices/OTHER/token"
	unmount
	cp -r "$S" "$T/copy"
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 2) WHERE version = 1"
	mount_again
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EBADMSG
	assert_has "$(trail)" '"outcome":"EBADMSG"'
	assert_equal "$(cat "$M/devices/OTHER/token")" "$TOKEN_2"
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID"
	rm -rf "$S" && mv "$T/copy" "$S"
	python3 - "$S/escrow.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
blob = bytearray(db.execute("SELECT blob FROM sealed WHERE version = 1").fetchone()[0])
blob[-20] ^= 1
db.execute("UPDATE sealed SET blob = ? WHERE version = 1", (bytes(blob),))
db.commit()
PY
	mount_again
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EBADMSG
	assert_equal "$(cat "$M/devices/OTHER/token")" "$TOKEN_2"
}

@test "a seal that is gone is EBADMSG, and nothing is given out or marked for it" {
	echo "$TOKEN_1" >"$D/token"
	local asked
	unmount
	sqlite3 "$S/escrow.db" 'DELETE FROM sealed; UPDATE version SET verified = 0'
	mount_again
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EBADMSG
	assert_has "$(trail)" '"outcome":"EBADMSG"'
	assert_has "$(trail)" "device $UDID, version 1: the store has lost its seal; restore the store from a backup"
	get_token >"$T/get"
	run -1 bash -c "cat '$T/get' >&3; cat <&3" 3<>"$M/checkin"
	assert_has "$output" 'the store has lost its seal'
	# Who has checked out gets none, which is said and recorded, whatever its seal is like.
	message CheckOut UDID="$UDID" | checkin
	asked=$(get_token | checkin)
	assert_has "$asked" '<dict'
	[[ "$asked" != *BootstrapToken* ]]
	assert_has "$(trail)" 'unenrolled'
	run -1 grep -c '"retrieve","outcome":"ok"' "$M/audit"
	unmount
	assert_equal "$(sqlite3 "$S/escrow.db" 'SELECT verified FROM version')" 0
}

@test "an older version put in the place of the current one does not open" {
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	unmount
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 1) WHERE version = 2"
	mount_again
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EBADMSG
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" 'version 2'
}

@test "a bit that turned over in the part of a seal that is another key's is found all the same" {
	echo "$TOKEN_1" >"$D/token"
	unmount
	python3 - "$S/escrow.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
blob = bytearray(db.execute("SELECT blob FROM sealed").fetchone()[0])
# The recovery key is RSA-3072: its part is the longest run there is.
at = blob.index(bytes.fromhex("04820180")) + 100
blob[at] ^= 1
db.execute("UPDATE sealed SET blob = ?", (bytes(blob),))
db.commit()
PY
	mount_again
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EBADMSG
	assert_has "$(trail)" 'the seal was changed'
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" 'version 1'
}

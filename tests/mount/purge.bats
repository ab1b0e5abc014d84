#!/usr/bin/env bats
# shellcheck disable=SC2010,SC2030,SC2031,SC2034,SC2086,SC2153,SC2154,SC2012 # tests are subshells; UDID is a plain word
# purge: versions that ended before a date are destroyed, for good, and nothing else is.

load helper

OTHER=0E5C0A00-0001-4000-8000-000000000001

# Two versions of a device, the second one current; one of a device that was taken away.
prepare() {
	mount_new
	device "$OTHER"
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	device
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	mkdir "$T/sealed"
	X=$T/sealed
}

now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
seal() { escrowfs mount "$S" "$X" -o sealed; }
purge() { escrowfs purge "$S" "$@"; }

# The blobs of every seal in a sealed mount, as files $T/blobs/{old,current}.N
take_blobs() {
	mkdir "$T/blobs"
	seal
	python3 - "$X" "$T/blobs" <<'PY'
import base64, glob, sys
def blob(path): return base64.b64decode("".join(open(path).read().split("\n")[1:-2]))
for kind, files in ("old", glob.glob(sys.argv[1] + "/*/*/history/*.pem")), ("current", glob.glob(sys.argv[1] + "/devices/*/token")):
    for n, path in enumerate(files):
        open("%s/%s.%d" % (sys.argv[2], kind, n), "wb").write(blob(path))
PY
	umount "$X"
}

# in_files old|current: how many slices of 64 bytes of such blobs, which no other has, the store's files have
in_files() {
	python3 - "$S" "$T/blobs" "$1" <<'PY'
import glob, os, sys
store, blobs, kind = sys.argv[1:]
files = b"\0".join(open(os.path.join(d, f), "rb").read() for d, _, names in os.walk(store) for f in names)
blob = {path: open(path, "rb").read() for path in glob.glob(blobs + "/*")}
def others(mine): return b"\0".join(data for path, data in blob.items() if path != mine)
print(sum(data[i:i + 64] in files and data[i:i + 64] not in others(path) for path, data in blob.items()
          if os.path.basename(path).startswith(kind) for i in range(0, len(data) - 64, 16)))
PY
}

@test "it says what would go, and destroys with --yes what ended before" {
	local moment
	moment=$(now)
	echo "$TOKEN_1" >"$D/token"
	run -0 --separate-stderr purge --before "$moment" --yes
	assert_has "${lines[0]}" '2 versions of 2 devices ended before'
	assert_has "${lines[1]}" 'Of 1 device that was taken away no version will be left'
	assert_has "$output" '2 versions were destroyed.'
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_equal "$(echo "$output" | tail -n +2 | awk '{ print $1, $4 }' | tr '\n' ,)" '2 replaced,3 current,'
	assert_equal "$(json_of '["Escrow"]["Versions"].__len__()')" 2
	run -0 --separate-stderr purge --before "$moment" --yes
	assert_has "$output" '0 versions of 0 devices'
	assert_has "$output" 'There is nothing to destroy'
	run -0 escrowfs verify "$S"
}

@test "what is current stays" {
	run -0 purge --before "$(now)" --yes
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	[ "$(status_of)" = escrowed ]
	run -0 --separate-stderr escrowfs history "$S" "$UDID"
	assert_equal "$(echo "$output" | tail -n +2 | awk '{ print $1, $4 }')" '2 current'
	assert_equal "$(stat -c %s "$D/security.json")" "$(cat "$D/security.json" | wc -c)"
}

@test "the trail has a line for each, and verify minds them" {
	local before digest
	before=$(lines)
	digest=$(grep '"action":"escrow"' "$M/audit" | head -n 1 | sed 's/.*"blob":"\([0-9a-f]*\)".*/\1/')
	purge --before "$(now)" --yes
	assert_equal "$(sed "1,${before}d" "$M/audit" | grep -c '"action":"purge","outcome":"ok"')" 2
	sed "1,${before}d" "$M/audit" | grep '"action":"purge"' | grep "$OTHER.*\"version\":1,.*destroyed: it ended .*\"blob\":\"$digest\""
	run -0 escrowfs verify "$S"
	# One that is gone without such a line is a finding,
	sqlite3 "$S/escrow.db" 'DELETE FROM sealed; DELETE FROM version'
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID, version 2: the trail names it, and the store has it no more"
	case $output in *"version 1"*) false ;; esac
}

@test "one that was purged and is there again is a finding" {
	unmount
	cp "$S/escrow.db" "$T/copy"
	mount_again
	purge --before "$(now)" --yes
	unmount
	sqlite3 "$S/escrow.db" "ATTACH '$T/copy' AS copy; INSERT OR IGNORE INTO version SELECT * FROM copy.version;
		INSERT OR IGNORE INTO sealed SELECT * FROM copy.sealed"
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID, version 1: the trail says that it was destroyed, and the store has it"
}

@test "nothing of it is left in the files, and the rest of it is" {
	take_blobs
	[ "$(in_files old)" -gt 50 ]
	purge --before "$(now)" --yes
	assert_equal "$(in_files old)" 0
	[ "$(in_files current)" -gt 25 ]
	unmount
	assert_equal "$(in_files old)" 0
	assert_equal "$(ls "$S" | grep -cv '^escrow.db\|^lock$')" 0
}

@test "it waits for sealed mounts, and says so; stopped, it goes on where it was" {
	take_blobs
	seal
	"$ESCROWFS" purge "$S" --before "$(now)" --yes >"$T/out" 2>"$T/err" &
	local pid=$! status=0
	eventually 100 grep -q 'waiting for sealed mounts' "$T/err"
	kill -0 "$pid"
	grep -qr . "$X/removed/$OTHER/history/1.pem"
	kill -INT "$pid"
	wait "$pid" || status=$?
	assert_equal "$status" 1
	assert_has "$(cat "$T/err")" 'unmount it and call this again'
	[ "$(in_files old)" -gt 0 ]
	umount "$X"
	run -0 --separate-stderr purge --before 2020-01-01 --yes
	assert_has "$output" "Nothing of what was destroyed is left"
	assert_equal "$(in_files old)" 0
}

@test "killed in the middle, it goes on when it is run again" {
	local i before
	unmount
	# Many versions, without waiting for them to be sealed: copies of one.
	sqlite3 "$S/escrow.db" "WITH RECURSIVE n(i) AS (VALUES (3) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		INSERT INTO version SELECT 100 + i, device, i, escrowed_at, confirmed_at, sealed_at, ended_at, ending, renewal,
			token_size, blob_size, mac, digest, verified, generation FROM version, n WHERE version.device =
			(SELECT id FROM device WHERE udid = '$UDID') AND number = 1;
		INSERT INTO sealed SELECT v.id, (SELECT blob FROM sealed ORDER BY version LIMIT 1) FROM version v WHERE v.id > 100;
		UPDATE device SET last_version = 20000 WHERE udid = '$UDID'"
	"$ESCROWFS" purge "$S" --before "$(now)" --yes >"$T/out" &
	eventually 100 sh -c "[ \$(sqlite3 -readonly '$S/escrow.db' \"SELECT count(*) FROM trail WHERE line LIKE '%purge%'\") -gt 100 ]"
	kill -9 $!
	wait $! || :
	before=$(sqlite3 -readonly "$S/escrow.db" "SELECT count(*) FROM version")
	[ "$before" -gt 1 ]
	run -0 --separate-stderr purge --before "$(now)" --yes
	assert_has "$output" "$((before - 1)) versions were destroyed"
	assert_equal "$(sqlite3 "$S/escrow.db" "SELECT count(*) FROM trail WHERE line LIKE '%\"action\":\"purge\"%'")" 20000
	assert_equal "$(sqlite3 "$S/escrow.db" "SELECT count(*) FROM version")" 1
	mount_again
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(escrowfs history "$S" "$UDID" | tail -n 1 | awk '{ print $1 }')" 20001
}

@test "numbers are never used again, and devices of which nothing is left vanish from /removed" {
	purge --before "$(now)" --yes
	run -0 --separate-stderr escrowfs history "$S" "$OTHER"
	assert_has "$output" 'No token'
	seal
	assert_equal "$(ls "$X/removed")" ''
	[ ! -e "$X/removed/$OTHER/history/1.pem" ]
	umount "$X"
	device "$OTHER"
	echo "$TOKEN_1" >"$D/token"
	run -0 --separate-stderr escrowfs history "$S" "$OTHER"
	assert_equal "$(echo "$output" | tail -n +2 | awk '{ print $1 }')" 2
}

@test "what changed in a sealed mount has a later time" {
	local moment before after
	device "$OTHER"
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	moment=$(now)
	rmdir "$D"
	device "$OTHER"
	echo "$TOKEN_2" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	seal
	before=$(stat -c %Y.%y "$X/removed/$OTHER/security.json" "$X/removed/$OTHER/history" "$X/devices/$UDID/history" "$X/devices/$UDID/security.json" "$X/devices/$UDID/token")
	umount "$X"
	purge --before "$moment" --yes
	seal
	after=$(stat -c %Y.%y "$X/removed/$OTHER/security.json" "$X/removed/$OTHER/history" "$X/devices/$UDID/history" "$X/devices/$UDID/security.json" "$X/devices/$UDID/token")
	assert_equal "$(ls "$X/removed/$OTHER/history")" 3.pem
	# All but the token, which is as it was.
	assert_equal "$(diff <(echo "$before") <(echo "$after") | grep -c '^>')" 4
	assert_equal "$(echo "$before" | tail -n 1)" "$(echo "$after" | tail -n 1)"
}

@test "it asks on a terminal for the number of versions, and elsewhere it is refused" {
	local moment
	moment=$(now)
	run -2 --separate-stderr purge --before "$moment" </dev/null
	assert_has "$output" '2 versions of 2 devices'
	assert_has "$stderr" '--yes'
	ask() { # ask ANSWER
		python3 - "$1" "$ESCROWFS" purge "$S" --before "$moment" <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen = b""
while b"to go on: " not in seen:
    seen += os.read(fd, 4096)
os.write(fd, sys.argv[1].encode() + b"\n")
try:
    while more := os.read(fd, 4096):
        seen += more
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
	}
	local answer
	for answer in yes 3 '' 2x -2; do
		run -1 ask "$answer"
		assert_has "$output" 'nothing was destroyed'
	done
	assert_equal "$(escrowfs history "$S" "$UDID" | wc -l)" 3
	run -0 ask 2
	assert_has "$output" '2 versions were destroyed'
}

@test "dates: days, times, none, nonsense, the future" {
	run -0 purge --before 2024-01-31 --yes
	assert_has "$output" 'before 2024-01-31T00:00:00.000Z'
	run -0 purge --before 2024-01-31T01:00:00+01:00 --yes
	assert_has "$output" 'before 2024-01-31T00:00:00.000Z'
	run -2 purge --yes
	assert_has "$output" '--before'
	run -2 purge --before 2023-02-29 --yes
	assert_has "$output" 'no date'
	run -2 purge --before 2100-01-01 --yes
	assert_has "$output" 'in the future'
	run -2 purge --before 2024-01-31 extra --yes
	run -2 escrowfs purge --before 2024-01-31 --yes
}

@test "more bytes after a message that ended a version which was purged since: what is current stays" {
	python3 - "$D/token" "$S" "$ESCROWFS" "$TOKEN_1" <<'PY'
import os, subprocess, sys, time
path, store, program, token = sys.argv[1:]
fd = os.open(path, os.O_WRONLY)
os.write(fd, token.encode() + b"\n")
before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 0))
while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) == before:
    time.sleep(0.05)
before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
subprocess.run([program, "purge", store, "--before", before, "--yes"], check=True)
try:
    os.write(fd, b"more")
    sys.exit("not refused")
except OSError:
    pass
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	run -0 escrowfs verify "$S"
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test has S and D of its own
# A full disk stops escrow before it stops logins: the room that is kept back for retrievals' records.

load helper

# A store on a disk of its own, with a token for UDID.
prepare() {
	mkdir "$T/disk"
	mount -t tmpfs -o "size=${DISK:-16m}" tmpfs "$T/disk"
	S=$T/disk/store
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
}

cleanup() { rm -f "$T/hog" "$T/reads"; }
fill_disk() { dd if=/dev/zero of="$T/disk/ballast" bs=64k 2>/dev/null || cat /dev/zero >>"$T/disk/ballast" 2>/dev/null || :; }
kept() { stat -c %s "$S/escrow.db-reserve"; }
metric() { sed -n "s/^escrowfs_store_$1 //p" "$M/metrics"; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }
is_whole() { [ "$(kept)" -eq $((1024 * 1024)) ]; }
message_errno() { errno_of 'fd = os.open(p, os.O_RDWR); os.write(fd, open(sys.argv[3], "rb").read())' "$M/checkin" "$1"; }

# retrieve COUNT: how many of so many retrievals there were before one was refused, and as what.
retrieve() {
	python3 - "$D/token" "$1" <<'PY'
import errno, os, sys
path, most = sys.argv[1], int(sys.argv[2])
n = 0
try:
    for n in range(most):
        fd = os.open(path, os.O_RDONLY)
        assert os.read(fd, 100)
        os.close(fd)
    print(most, "ok")
except OSError as error:
    print(n, errno.errorcode[error.errno])
PY
}

@test "room is kept back, and it is real" {
	is_whole
	[ "$(stat -c %b "$S/escrow.db-reserve")" -eq 2048 ]
	metric_is kept_bytes 1048576
	metric_is disk_low 0
}

@test "on a full disk escrow ends, retrievals go on, and nothing but retrievals gets the room" {
	fill_disk
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/ANOTHER")" ENOSPC
	is_whole
	assert_equal "$(retrieve 50)" '50 ok'
	[ "$(kept)" -lt $((1024 * 1024)) ]
	get_token | checkin | reply_token >"$T/token"
	assert_equal "$(cat "$T/token")" "$TOKEN_1"
	# Junk of all kinds, again and again: none of it gets in, and none of it takes room.
	local before
	before=$(kept)
	message Authenticate UDID=JUNK SerialNumber=C02JUNK >"$T/junk"
	get_token NOBODY >"$T/junk.2"
	set_token "$TOKEN_2" >"$T/junk.3"
	for _ in $(seq 30); do
		for junk in "$T/junk" "$T/junk.2" "$T/junk.3"; do
			assert_equal "$(message_errno "$junk")" ENOSPC
		done
	done
	assert_equal "$(errno_of 'os.truncate(p, 0)' "$D/token")" ENOSPC
	assert_equal "$(errno_of 'os.chmod(p, 0o640)' "$D/token")" ENOSPC
	run -1 escrowfs restore "$S" "$UDID" 1
	assert_equal "$(kept)" "$before"
	assert_equal "$(retrieve 5)" '5 ok'
	# All of them are on the trail.
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" 56
	[ ! -e "$M/devices/JUNK" ]
	# A mount ends and begins without room.
	unmount
	mount_again
	assert_equal "$(retrieve 5)" '5 ok'
	# With room all goes on by itself, and room is kept back again.
	rm "$T/disk/ballast"
	echo "$TOKEN_2" >"$D/token"
	is_whole
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	unmount
	escrowfs verify "$S"
}

@test "the log finds its way into the database, even if the thread that does it gets no time" {
	fill_disk
	local daemon thread
	daemon=$(pgrep -f "escrowfs mount $S $M")
	thread=$(grep -lx escrow-copy "/proc/$daemon"/task/*/comm)
	touch "$T/hog"
	# (For others there is a twentieth of each second of this processor.)
	taskset -pc 0 "$(basename "${thread%/comm}")" >/dev/null
	# It ends with its file, whatever becomes of the test and of who watches over it.
	timeout 30 chrt --fifo 1 taskset -c 0 sh -c "touch '$T/starves'; while [ -e '$T/hog' ]; do :; done" 3>&- &
	eventually 100 test -e "$T/starves"
	assert_equal "$(retrieve 1000)" '1000 ok'
}

# reads SECONDS: somebody reads the store as it is now, for so long or until $T/reads is gone.
reads() {
	sqlite3 "$S/escrow.db" 'BEGIN' 'SELECT count(*) FROM device' \
		".shell touch '$T/reads'; for i in \$(seq $(($1 * 10))); do [ -e '$T/reads' ] || break; sleep 0.1; done" \
		'COMMIT' >"$T/read" 3>&- &
	reader=$!
	eventually 100 test -e "$T/reads"
}

@test "who reads for a moment, while the log can't be copied for it, costs no login" {
	fill_disk
	reads 1
	assert_equal "$(retrieve 1000)" '1000 ok'
	assert_equal "$(cat "$T/read")" 1
}

@test "who reads for long is not waited for at every retrieval" {
	fill_disk
	reads 60
	assert_has "$(retrieve 1000)" ENOSPC
	local start=$SECONDS
	for _ in 1 2 3 4 5; do
		assert_equal "$(retrieve 1)" '0 ENOSPC'
	done
	[ $((SECONDS - start)) -lt 5 ]
	rm "$T/reads"
	wait "$reader"
	# Its reader gone, the log is copied and its room is there again.
	assert_equal "$(retrieve 100)" '100 ok'
}

# All of the log is copied then, and yet it can't begin anew.
@test "whoever began to read after the last change isn't waited for any longer" {
	fill_disk
	reads 60
	assert_has "$(retrieve 1000)" ENOSPC
	rm "$T/reads"
	wait "$reader"
	local start said
	for _ in $(seq 200); do
		reads 60
		start=$SECONDS
		said=$(retrieve 1)
		[ $((SECONDS - start)) -lt 5 ]
		rm "$T/reads"
		wait "$reader"
		[ "$said" = '1 ok' ] || break
	done
	assert_equal "$said" '0 ENOSPC'
	assert_equal "$(retrieve 100)" '100 ok'
}

@test "when what was kept is used up, nothing is handed out that can't be recorded" {
	fill_disk
	local said
	said=$(retrieve 20000)
	assert_has "$said" ENOSPC
	# To its end, and for records: a log that took most of it would leave room for a tenth of them.
	assert_equal "$(kept)" 0
	[ "${said% *}" -gt 2000 ]
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" "${said% *}"
	rm "$T/disk/ballast"
	# Without any call.
	eventually 100 is_whole
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	escrowfs verify "$S"
}

@test "a disk that is full when nobody serves: the store is served all the same, and gives out tokens" {
	unmount
	fill_disk
	run -0 escrowfs status "$S"
	assert_has "$output" FULL
	mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/ANOTHER")" ENOSPC
	unmount
	mount_again
	assert_equal "$(retrieve 20)" '20 ok'
	rm "$T/disk/ballast"
	eventually 100 is_whole
	mkdir "$M/devices/ANOTHER"
}

@test "status and metrics warn before" {
	run -0 escrowfs status "$S"
	[[ $output != *FULL* ]]
	# 3 MiB are left, less than four times what is kept.
	dd if=/dev/zero of="$T/disk/ballast" bs=64k count=$(($(stat -f -c '%a * %S / 65536 - 48' "$T/disk"))) 2>/dev/null
	metric_is disk_low 1
	metric_is disk_full 0
	run -0 escrowfs status "$S"
	assert_has "$output" 'NEARLY FULL'
	fill_disk
	retrieve 20 >/dev/null
	metric_is disk_full 1
	run -0 escrowfs status "$S"
	assert_has "$output" 'disk        FULL'
	rm "$T/disk/ballast"
	eventually 100 metric_is disk_low 0
}

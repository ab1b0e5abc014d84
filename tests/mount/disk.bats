#!/usr/bin/env bats
# Disks as they are: ext4 in a file, with blocks of 1 KiB, full; and one that turns read-only under a mount.
load helper

# A store on an ext4 of its own, of so many MiB.
prepare() {
	mkdir "$T/disk"
	truncate -s "${1:-24}m" "$T/image"
	mkfs.ext4 -q -b 1024 -m 0 -e remount-ro "$T/image"
	LOOP=$(losetup --find --show "$T/image")
	mount "$LOOP" "$T/disk"
	S=$T/disk/store
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
}

cleanup() {
	umount "$M" 2>/dev/null || umount -l "$M" 2>/dev/null || :
	for _ in $(seq 50); do pgrep -f "escrowfs.* $T/" >/dev/null || break; sleep 0.1; done
	umount "$T/disk" 2>/dev/null || umount -l "$T/disk" || :
	losetup -d "$LOOP" || :
}

fill_disk() { dd if=/dev/zero of="$T/disk/ballast" bs=1k 2>/dev/null || :; }

# died STATUS: of a signal.
died() { [ "$1" -ge 128 ]; }

@test "blocks of 1 KiB and next to none of them free: no command and no mount dies of SIGBUS" {
	local free how status
	unmount
	rm -f "$S/escrow.db-reserve"
	fill_disk
	sync
	for free in 0 2 6 8 12 16 24 36; do
		for how in status verify; do
			rm -f "$S"/escrow.db-shm "$S/escrow.db-wal" "$S/escrow.db-reserve"
			fill_disk
			truncate -s -"${free}k" "$T/disk/ballast"
			sync
			status=0
			escrowfs $how "$S" >"$T/said" 2>&1 || status=$?
			if died $status; then echo "$free KiB free: $how: $status" && false; fi
			[ $status -eq 0 ] || grep -q 'full' "$T/said"
			fill_disk
		done
	done
}

message_errno() { errno_of 'fd = os.open(p, os.O_RDWR); os.write(fd, open(sys.argv[3], "rb").read())' "$M/checkin" "$1"; }

@test "a disk that turns read-only under a mount: EROFS, nothing changes, and nothing leaves unrecorded" {
	local lines_before
	unmount
	mount_again
	get_token >"$T/get"
	set_token "$TOKEN_2" >"$T/set"
	cat "$D/token"
	lines_before=$(lines)
	echo 'as if a block were bad' >"/sys/fs/ext4/${LOOP##*/}/trigger_fs_error"
	assert_equal "$(errno_of 'open(p, "w")' "$T/disk/x")" EROFS
	for _ in 1 2; do
		assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/token")" EROFS
		assert_equal "$(message_errno "$T/get")" EROFS
		assert_equal "$(message_errno "$T/set")" EROFS
		assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_2"'\n")' "$D/token")" EROFS
		assert_equal "$(errno_of 'os.truncate(p, 0)' "$D/token")" EROFS
		assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/ANOTHER")" EROFS
		assert_equal "$(errno_of 'os.chmod(p, 0o640)' "$D/token")" EROFS
	done
	# What is there can be looked at.
	assert_equal "$(status_of)" escrowed
	assert_equal "$(json_of '["Escrow"]["Status"]')" escrowed
	assert_equal "$(lines)" "$lines_before"
	[ ! -e "$M/devices/ANOTHER" ]

	run -1 escrowfs restore "$S" "$UDID" 1
	assert_has "$output" 'read-only'
	# Who asks by message is told what to do.
	run -0 python3 - "$M/checkin" "$T/get" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    os.write(fd, open(sys.argv[2], "rb").read())
except OSError:
    print(os.read(fd, 1000).decode())
PY
	assert_has "$output" "the store's disk is read-only and the change was not made"
	assert_has "$output" 'unmount the store, then look after that disk'

	# ext4 stays so until it was unmounted and looked after.
	run ! mount -o remount,rw "$T/disk"
	umount "$M"
	eventually 100 umount "$T/disk"
	e2fsck -fp "$LOOP" >"$T/fsck" || [ $? -eq 1 ]
	mount "$LOOP" "$T/disk"
	mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	unmount
	run -0 escrowfs verify "$S"
}

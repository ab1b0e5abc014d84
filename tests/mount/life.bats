#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154 # each test has S and D of its own; UDID is a plain word
# The daemon's life: how it starts, what it tells its caller and systemd, what it leaves in memory and on
# disk, and how it ends: by a signal, by kill -9, on a full disk.

load helper

# The daemon that serves $M.
daemon() { pgrep -f "escrowfs mount $S $M"; }
is_mounted() { grep -q " $M fuse.escrowfs " /proc/mounts; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
stands_in() { [ "$(readlink "/proc/$1/cwd")" = "$2" ]; }
not_mounted() { ! is_mounted; }

# The options of the mount on $M, each with a comma on both sides.
mount_flags() { awk -v m="${1:-$M}" '$2 == m { print "," $4 "," }' /proc/mounts; }

@test "the command returns when the tree is served" {
	mount_new
	[ -e "$M/checkin" ]
	is_mounted
	run -0 grep " $M " /proc/mounts
	assert_has "$output" "$S $M fuse.escrowfs rw,"
}

@test "what goes wrong is told by the command itself, and nothing is mounted" {
	run -1 escrowfs mount "$T/nothing" "$M"
	assert_has "$output" "$T/nothing"
	escrowfs init "$S"
	run -1 escrowfs mount "$S" "$T/nowhere"
	assert_has "$output" "$T/nowhere"
	run -1 escrowfs mount "$S" "$M" -o key="$T/nokey.pem"
	assert_has "$output" "$T/nokey.pem"
	not_mounted
	# ... and the store is free for the next one
	escrowfs mount "$S" "$M"
}

@test "the daemon lets go of its caller: a pipe to it ends" {
	escrowfs init "$S"
	timeout 20 bash -c '"$@" | cat' - "$ESCROWFS" mount "$S" "$M"
	cd /
	is_mounted
	assert_equal "$(readlink "/proc/$(daemon)/cwd")" /
}

@test "nodev, nosuid and noexec always hold" {
	mount_new -o dev,suid,exec
	for flag in nodev nosuid noexec; do
		assert_has "$(mount_flags)" ",$flag,"
	done
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed,dev,suid,exec
	for flag in ro nodev nosuid noexec; do
		assert_has "$(mount_flags "$T/sealed")" ",$flag,"
	done
}

# Runs a shell command where `escrowfs` is installed as far as mount(8) can see: it looks in the usual places
# only, whatever PATH says. In a mount namespace of its own, so that nothing is left behind.
installed() {
	mkdir -p "$T/bin"
	ln -sf "$ESCROWFS" "$T/bin/escrowfs"
	unshare --mount --propagation private bash -euc "mount --bind '$T/bin' /usr/local/sbin; $1"
}

@test "mount -t fuse.escrowfs, with what fstab and systemd put among the options" {
	escrowfs init "$S"
	run -0 installed "mount -t fuse.escrowfs '$S' '$M' \
		-o rw,noauto,nofail,_netdev,x-systemd.automount,x-systemd.requires=network.target,noatime
		ls '$M' && grep ' $M ' /proc/mounts && umount '$M'"
	assert_has "$output" checkin
	for flag in nodev nosuid noexec; do
		assert_has "$output" ",$flag,"
	done
}

# What systemd does of x-systemd.automount: a trap, in which whoever opens the directory waits for the mount; so does what
# makes it. Prints what came of the command, and what the trap caught.
trapped() {
	timeout 30 python3 - "$M" "$@" <<'PY'
import ctypes, fcntl, os, subprocess, sys
point, *command = sys.argv[1:]
trap, end = os.pipe()
libc = ctypes.CDLL(None, use_errno=True)
how = f"fd={end},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
assert libc.mount(b"systemd-1", point.encode(), b"autofs", 0, how.encode()) == 0, os.strerror(ctypes.get_errno())
os.close(end)
os.set_blocking(trap, False)
# Whoever is of the process group that laid it walks past it.
root = os.open(point, os.O_RDONLY)
done = subprocess.Popen(command, start_new_session=True)
try:
    print("status", done.wait(10))
except subprocess.TimeoutExpired:
    print("it waits for itself")
try:
    print("caught", len(os.read(trap, 4096)))
except BlockingIOError:
    print("caught nothing")
fcntl.ioctl(root, 0x9362)  # AUTOFS_IOC_CATATONIC: nobody waits any more
done.wait()
PY
}

not_answering() { ! ls "$M"; }

@test "over systemd's automount: it isn't walked into, and is no mount in the way" {
	modprobe autofs4 2>/dev/null || : # where it is a module
	grep -qw autofs /proc/filesystems
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	unmount
	run -0 --separate-stderr trapped "$ESCROWFS" mount -o sealed "$S" "$M"
	assert_equal "${lines[*]}" 'status 0 caught nothing'
	grep -q 'BEGIN CMS' "$D/token"
	# One that was killed is unmounted, and the trap isn't.
	pkill -9 -f "escrowfs.* $M\$"
	eventually 50 not_answering
	run -0 --separate-stderr escrowfs mount -o sealed "$S" "$M"
	assert_has "$stderr" 'unmounted what a killed escrowfs left there'
	grep -q 'BEGIN CMS' "$D/token"
	assert_equal "$(awk -v m="$M" '$2 == m { print $3 }' /proc/mounts | paste -sd ' ')" 'autofs fuse.escrowfs'
}

@test "as mount(8) calls its helper, under the helper's name" {
	escrowfs init "$S"
	ln -s "$ESCROWFS" "$T/mount.fuse.escrowfs"
	"$T/mount.fuse.escrowfs" "$S" "$M" -o rw,_netdev,nofail -n
	is_mounted
}

@test "the lines of examples/fstab" {
	escrowfs init "$S"
	mkdir "$T/sealed"
	sed "s|/mnt/escrow-sealed|$T/sealed|; s|/mnt/escrow|$M|; s|/var/lib/escrowfs/escrow|$S|" \
		"$EXAMPLES/fstab" >"$T/fstab"
	run -0 installed "mount --fstab '$T/fstab' '$M' && mount --fstab '$T/fstab' '$T/sealed'
		find '$T' -name checkin -o -name devices; umount '$M' '$T/sealed'"
	assert_has "$output" "$M/checkin"
	assert_has "$output" "$T/sealed/devices"
	[[ $output != *sealed/checkin* ]]
}

@test "SIGTERM ends it cleanly, also with descriptors open and somebody inside" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	local pid
	pid=$(daemon)
	exec 5<"$D/token" 6>"$M/checkin"
	(cd "$D" && exec sleep 60 5<&- 6>&-) &
	local inside=$!
	eventually 50 stands_in "$inside" "$D"
	kill -TERM "$pid"
	eventually 200 is_gone "$pid"
	eventually 50 not_mounted
	exec 5<&- 6>&- || :
	kill "$inside"
	mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_has "$(grep '"unmount"' "$M/audit")" '"outcome":"ok"'
}

@test "umount ends the daemon, and says so on the trail" {
	mount_new
	local pid
	pid=$(daemon)
	umount "$M"
	eventually 200 is_gone "$pid"
	mount_again
	assert_has "$(trail 2)" '"action":"unmount"'
	assert_has "$(trail 1)" '"action":"mount"'
}

@test "after kill -9 the next mount takes the dead one over" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	# somebody stands inside, so that it can't simply be unmounted
	(cd "$D" && exec sleep 60) &
	local inside=$!
	eventually 50 stands_in "$inside" "$D"
	local pid
	pid=$(daemon)
	kill -9 "$pid"
	eventually 100 is_gone "$pid"
	run ls "$M"
	assert_has "$output" 'not connected'
	mount_again
	kill "$inside"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(grep -c " $M fuse.escrowfs" /proc/mounts)" 1
	unmount
	escrowfs verify "$S"
}

@test "sd_notify: ready when it serves, and not before" {
	escrowfs init "$S"
	run -0 python3 - "$T/notify" "$M" "$ESCROWFS" mount -f "$S" "$M" <<'PY'
import os, signal, socket, subprocess, sys
address, mountpoint, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(address)
listener.settimeout(60)
daemon = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": address})
while b"READY=1" not in listener.recv(4096).split(b"\n"):
    pass
print(sorted(os.listdir(mountpoint)))
daemon.send_signal(signal.SIGTERM)
assert daemon.wait(60) == 0, daemon.returncode
PY
	assert_has "$output" "['audit', 'checkin', 'devices', 'metrics', 'policy', 'search']"
	not_mounted
}

@test "a mount in the foreground that fails says why and exits 1" {
	run -1 timeout 20 "$ESCROWFS" mount -f "$T/nothing" "$M"
	assert_has "$output" "$T/nothing"
}

@test "no core dumps, and its memory is locked" {
	mount_new
	run -0 grep '^Max core file size' "/proc/$(daemon)/limits"
	[[ $output =~ ^Max\ core\ file\ size\ +0\ +0\  ]]
	run -0 awk '$1 == "VmLck:" { print $2 }' "/proc/$(daemon)/status"
	[ "$output" -gt 0 ]
}

# Fails when a file below the paths has the token's bytes, raw or as base64.
no_token_in() {
	run -1 grep -raF -e "plaintext-marker-91f2" "$@"
	run -1 grep -raF -e "$(printf 'plaintext-marker-91f2' | base64)" "$@"
}

@test "a token's bytes are nowhere but sealed: not in the store, the log, the trail, the environment" {
	local token daemon
	token=$(printf 'plaintext-marker-91f2' | base64)
	escrowfs init "$S"
	"$ESCROWFS" mount -f "$S" "$M" 2>"$T/log" &
	daemon=$!
	eventually 200 is_mounted
	device
	echo "$token" >"$D/token"
	cat "$D/token" >/dev/null
	set_token "$token" DEVICE-2 | checkin
	get_token DEVICE-2 | checkin | reply_token
	# refused messages aren't kept either
	run -1 bash -c "echo '$token!' >'$D/token'"
	run -1 bash -c "printf '%s' \"\$1\" >'$M/checkin'" - "$(message SetBootstrapToken UDID=X "BootstrapToken=$token")"
	set_token "$token" | head -c 380 >"$T/half"
	run cp "$T/half" "$D/token"
	no_token_in "$S" "$T/log" "/proc/$daemon/environ" "/proc/$daemon/cmdline"
	no_token_in "$M/audit" "$M/metrics" "$D/security.json" "$M/devices/DEVICE-2/security.json"
	kill "$daemon"
	wait "$daemon"
	no_token_in "$S" "$T/log"
	# and it isn't for want of looking: the marker is found where it is
	base64 -d <<<"$token" >"$S/marker"
	grep -qrF plaintext-marker-91f2 "$S"
}

@test "recovery keys, PINs and passwords in messages are never stored or shown" {
	mount_new
	D=$M/devices/$UDID
	results SecurityInfo '<key>FDE_Enabled</key><true/>
		<key>FDE_PersonalRecoveryKeyCMS</key><data>c2VjcmV0LW1hcmtlci03Nw==</data>
		<key>FDE_PersonalRecoveryKeyDeviceKey</key><string>secret-marker-77</string>
		<key>RecoveryLockPassword</key><string>secret-marker-77</string>' | checkin
	message TokenUpdate UDID=$UDID 'UnlockToken:=<data>c2VjcmV0LW1hcmtlci03Nw==</data>' \
		PushMagic=secret-marker-77 | checkin
	run -0 cat "$D/security.json"
	python3 - "$D/security.json" <<'PY'
import sys
with open(sys.argv[1], "r+b", buffering=0) as f:
    f.write(b'{"IsEncrypted": true, "RecoveryLockPassword": "secret-marker-77", "UnlockPin": "secret-marker-77",'
            b' "PersonalRecoveryKey": "secret-marker-77"}')
PY
	unmount
	run -1 grep -raF -e secret-marker-77 -e c2VjcmV0LW1hcmtlci03Nw "$S"
}

@test "what is answered is on disk: a token that was written, a retrieval before its open returns" {
	escrowfs init "$S"
	# The leak check doesn't go with strace.
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -f -y -qq -e trace=fsync,fdatasync -o "$T/syncs" \
		"$ESCROWFS" mount -f "$S" "$M" &
	eventually 300 is_mounted
	device
	run -0 python3 - "$T/syncs" "$D" "$M" <<'PY'
import os, sys
log, device, mount = sys.argv[1:]
def syncs():
    return sum("escrow.db" in line and line.endswith(" = 0\n") for line in open(log))
def durable(what, do):
    before = syncs()
    result = do()
    assert syncs() > before, what
    return result
fd = os.open(device + "/token", os.O_WRONLY)
durable("an escrow", lambda: os.write(fd, b"dG9rZW4=\n"))
os.close(fd)
os.close(durable("a retrieval", lambda: os.open(device + "/token", os.O_RDONLY)))
fd = os.open(mount + "/checkin", os.O_RDWR)
durable("a check-in", lambda: os.write(fd, b"<plist><dict><key>MessageType</key><string>Authenticate</string>"
    b"<key>UDID</key><string>D-2</string></dict></plist>"))
os.close(fd)
durable("facts", lambda: open(device + "/security.json", "r+b", buffering=0).write(b'{"OSVersion": "14.1"}\n'))
durable("a device", lambda: os.mkdir(mount + "/devices/D-3"))
durable("a mode", lambda: os.chmod(device + "/token", 0o640))
durable("a removal", lambda: os.truncate(device + "/token", 0))
PY
	umount "$M"
	wait
}

# Escrows tokens for devices DEVICE-0 to 7, in as many processes, for good; each notes what was
# acknowledged in $T/done.N before it goes on.
load_with_tokens() {
	python3 - "$M/checkin" "$T/done" <<'PY'
import base64, os, sys
checkin, done = sys.argv[1:]
for n in range(8):
    if os.fork() == 0:
        break
else:
    os._exit(0)
with open(f"{done}.{n}", "wb", buffering=0) as log:
    for i in range(1000000):
        token = base64.b64encode(b"device %d token %06d" % (n, i))
        try:
            fd = os.open(checkin, os.O_WRONLY)
            os.write(fd, b"<plist><dict><key>MessageType</key><string>SetBootstrapToken</string>"
                b"<key>UDID</key><string>DEVICE-%d</string>"
                b"<key>BootstrapToken</key><data>%s</data></dict></plist>" % (n, token))
            os.close(fd)
        except OSError:
            os._exit(0)
        log.write(b"%06d\n" % i)
PY
}

@test "kill -9 under load loses nothing that was acknowledged, and leaves a whole trail" {
	mount_new
	for _ in 1 2 3; do
		rm -f "$T"/done.*
		load_with_tokens
		for n in 0 1 2 3 4 5 6 7; do
			eventually 600 test -s "$T/done.$n"
		done
		local pid
		pid=$(daemon)
		kill -9 "$pid"
		eventually 100 is_gone "$pid"
		escrowfs verify "$S"
		mount_again
		for n in 0 1 2 3 4 5 6 7; do
			local acknowledged stored
			acknowledged=$(tail -n 1 "$T/done.$n")
			stored=$(base64 -d "$M/devices/DEVICE-$n/token")
			# what was acknowledged last, or the next one, whose verdict the kill cut off
			[[ $stored = "device $n token $acknowledged" ||
				$stored = "device $n token $(printf %06d $((10#$acknowledged + 1)))" ]]
		done
	done
	unmount
	escrowfs verify "$S"
}

@test "a full disk: ENOSPC, nothing changed; with room again it goes on" {
	local last='' n=0 new
	mkdir "$T/disk"
	mount -t tmpfs -o size=4m tmpfs "$T/disk"
	S=$T/disk/store
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	last=$TOKEN_1
	dd if=/dev/zero of="$T/disk/ballast" bs=64k 2>/dev/null || :
	while :; do
		new=$(printf 'token %06d' "$n" | base64)
		echo "$new" >"$D/token" 2>"$T/error" || break
		last=$new
		n=$((n + 1))
		[ $n -lt 2000 ]
	done
	assert_has "$(cat "$T/error")" 'No space left'
	# Retrievals have room of their own for some time (reserve.bats). One that can't be recorded doesn't
	# happen; status and facts are still there to see.
	assert_equal "$(timeout 300 python3 -c 'import os, sys
while True: os.close(os.open(sys.argv[1], os.O_RDONLY))' "$D/token" 2>&1 | grep -o 'No space left')" 'No space left'
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/ANOTHER")" ENOSPC
	assert_equal "$(status_of)" escrowed
	[ ! -e "$M/devices/ANOTHER" ]
	rm "$T/disk/ballast"
	assert_equal "$(cat "$D/token")" "$last"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	unmount
	escrowfs verify "$S"
}

@test "a mount with -o ro: nothing is written, and a retrieval is recorded all the same" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	unmount
	mount_again -o ro
	assert_equal "$(errno_of 'os.open(p, os.O_WRONLY)' "$D/token")" EROFS
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/B")" EROFS
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_has "$(trail)" '"action":"retrieve"'
}

@test "sixty-four threads, and one" {
	for threads in 64 1; do
		if [ ! -e "$S" ]; then escrowfs init "$S"; fi
		mount_again -o "threads=$threads"
		for i in $(seq 20); do
			(set_token "$(printf 'token %d' "$i" | base64)" "DEVICE-$i" >"$T/m.$i" && cat "$T/m.$i" >"$M/checkin") &
		done
		wait
		assert_equal "$(find "$M/search/status/escrowed" -type l | wc -l)" 20
		unmount
	done
	run -2 escrowfs mount "$S" "$M" -o threads=0
	run -2 escrowfs mount "$S" "$M" -o threads=many
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell of its own, and meant to be
# shellcheck disable=SC2086,SC2153,SC2012 # UDID is a plain word of helper.bash's; names here are plain too
# The tree: names, numbers, times, what is there and what can't be done.

load helper

prepare() { mount_new; }

@test "the nine entries" {
	device
	assert_equal "$(ls "$M" | tr '\n' ' ')" 'audit checkin devices metrics policy search '
	assert_equal "$(ls "$D" | tr '\n' ' ')" 'bootstrap_status security.json token '
	assert_equal "$(ls "$M/policy" | tr '\n' ' ')" 'bootstrap_status device security.json token '
	assert_equal "$(ls "$M/search" | tr '\n' ' ')" 'deviceid imeinumber macaddress serialnumber status udid '
	assert_equal "$(ls "$M/search/status" | tr '\n' ' ')" 'escrowed not_eligible not_escrowed not_supported stale unenrolled '
}

@test "modes at first" {
	device
	assert_equal "$(cd "$M" && stat -c %a devices search devices/* devices/*/security.json devices/*/bootstrap_status devices/*/token checkin audit metrics | tr '\n' ' ')" \
		'750 750 750 640 440 600 600 400 444 '
	assert_equal "$(cd "$M" && stat -c %u:%g devices checkin audit | sort -u)" "$(id -u):$(id -g)"
}

@test "what is changed lasts, and inode numbers stay the same from mount to mount" {
	device
	device OTHER
	chmod 0640 "$M/checkin"
	chgrp 4321 "$D/token"
	find "$M" -printf '%i %P %m %g\n' | sort >"$T/before"
	unmount
	mount_again
	find "$M" -printf '%i %P %m %g\n' | sort >"$T/after"
	diff "$T/before" "$T/after"
	assert_equal "$(stat -c '%a' "$M/checkin") $(stat -c %g "$D/token")" '640 4321'
}

@test "numbers are never used again: a device taken away answers ESTALE, not its neighbour" {
	device GONE
	local number
	number=$(stat -c %i "$D")
	cd "$D"
	rmdir "$D"
	device NEW
	[ "$(stat -c %i "$D")" -gt "$number" ]
	run -1 cat token
	cd /
	device GONE
	[ "$(stat -c %i "$D")" -gt "$number" ]
}

@test "mkdir and rmdir: EEXIST in other letters, ENOTEMPTY with a token, EINVAL for what is no UDID" {
	device ABC-1
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/ABC-1")" EEXIST
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/abc-1")" EEXIST
	[ ! -e "$M/devices/abc-1" ]
	for name in 'a b' 'a_b' 'ä' "$(printf 'A%.0s' $(seq 65))" '.x'; do
		assert_equal "$(errno_of 'os.mkdir(p)' "$M/devices/$name")" EINVAL
	done
	mkdir "$M/devices/$(printf 'A%.0s' $(seq 64))"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(errno_of 'os.rmdir(p)' "$D")" ENOTEMPTY
	truncate -s 0 "$D/token"
	rmdir "$D"
	[ ! -e "$D" ]
	assert_equal "$(errno_of 'os.rmdir(p)' "$D")" ENOENT
	assert_equal "$(errno_of 'os.mkdir(p)' "$M/new")" EPERM
	assert_equal "$(errno_of 'os.rmdir(p)' "$M/search")" EPERM
}

@test "the history of a device taken away stays in the store" {
	device
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	device
	echo "$TOKEN_2" >"$D/token"
	assert_has "$(trail)" '"version":2'
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" '2 versions'
}

@test "files belong to the device: EPERM, never \"Function not implemented\"" {
	device
	for what in 'os.unlink(p)' 'os.rename(p, p + "x")' 'os.link(p, p + "x")' 'os.symlink("x", p + "x")' \
		'os.open(p + "x", os.O_WRONLY | os.O_CREAT)' 'os.mkdir(p + "x")' 'os.mkfifo(p + "x")' \
		'os.mknod(p + "x", 0o600 | 0o020000, 259)' 'os.utime(p)' 'os.utime(p, (1, 1))'; do
		echo "$what"
		assert_equal "$(errno_of "$what" "$D/token")" EPERM
	done
	for what in 'os.unlink(p + "/audit")' 'os.rename(p + "/audit", p + "/x")' 'os.open(p + "/x", os.O_CREAT | os.O_WRONLY)' \
		'os.rename(p + "/devices", p + "/search/x")' 'os.symlink("x", p + "/x")'; do
		echo "$what"
		assert_equal "$(errno_of "$what" "$M")" EPERM
	done
	assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$D/unknown")" ENOENT
	assert_equal "$(errno_of 'os.open(p, os.O_WRONLY)' "$D/unknown")" ENOENT
	assert_equal "$(errno_of 'os.stat(p)' "$M/devices/NOT-THERE/token")" ENOENT
	assert_equal "$(errno_of 'os.setxattr(p, "user.x", b"y")' "$D/token")" ENOTSUP
	assert_equal "$(errno_of 'os.posix_fallocate(os.open(p, os.O_WRONLY), 0, 10)' "$D/token")" EPERM
	run -1 touch -c "$D/token"
	assert_has "$output" 'Operation not permitted'
	run ! grep -q 'Function not implemented' "$T"/*
	for file in audit metrics policy/token policy/security.json; do
		assert_equal "$(errno_of 'os.open(p, os.O_WRONLY)' "$M/$file")" EPERM
	done
	assert_has "$(grep '"refuse"' "$M/audit" | grep '"rm"\|python')" EPERM
}

@test "access(2), statfs, df and df -i tell the truth" {
	device
	[ -r "$D/token" ]
	[ -w "$D/token" ]
	[ ! -x "$D/token" ]
	run -0 df -P "$M"
	assert_equal "$(df -P --output=size "$M" | tail -n 1)" "$(df -P --output=size "$S" | tail -n 1)"
	assert_equal "$(df --output=fstype "$M" | tail -n 1)" fuse.escrowfs
	assert_equal "$(df --output=source "$M" | tail -n 1)" "$S"
	[ "$(df --output=iused "$M" | tail -n 1)" -gt 4 ]
}

@test "names under /devices match exactly" {
	device AbC
	[ -e "$M/devices/AbC" ]
	[ ! -e "$M/devices/abc" ]
	[ ! -e "$M/devices/ABC" ]
}

@test "a thousand devices: listed whole, with ls, ls -l and find; and while others come and go" {
	for i in $(seq 1000); do message Authenticate "UDID=D-$i"; done >"$T/stream"
	escrowfs import "$S" - <"$T/stream"
	assert_equal "$(find "$M/devices" -mindepth 1 -maxdepth 1 | wc -l)" 1000
	assert_equal "$(ls -f "$M/devices" | wc -l)" 1002
	assert_equal "$(ls -l "$M/devices" | wc -l)" 1001
	assert_equal "$(find "$M/devices" -name bootstrap_status | wc -l)" 1000
	assert_equal "$(find "$M/search/status/not_escrowed/" -type l | wc -l)" 1000
	run -0 python3 - "$M/devices" <<'PY'
import os, sys
seen = []
with os.scandir(sys.argv[1]) as entries:
    for n, e in enumerate(entries):
        seen.append(e.name)
        if n % 100 == 0:
            os.mkdir(sys.argv[1] + "/N-%d" % n)
            os.rmdir(sys.argv[1] + "/D-%d" % (1000 - n // 100))
assert len(seen) == len(set(seen)), "a name twice"
missing = {"D-%d" % i for i in range(1, 980)} - set(seen)
assert not missing, missing
PY
}

@test "a walk in the order of the devices shows what changed ahead of it: by this mount at once, by another process soon" {
	for i in $(seq 60); do message Authenticate "UDID=D-$i"; done >"$T/stream"
	escrowfs import "$S" - <"$T/stream"
	set_token "$TOKEN_1" D-34 >"$T/message"
	unmount
	mount_again
	run -0 python3 - "$M/devices" "$TOKEN_2" "$ESCROWFS" "$S" "$T/message" <<'PY'
import os, subprocess, sys, time
devices, token, program, store, message = sys.argv[1:]
def status(name):
    with open(f"{devices}/{name}/bootstrap_status") as file:
        return file.read()
def go(first, last):
    for i in range(first, last):
        os.stat(f"{devices}/D-{i}")
# (Nothing is listed: that would tell the kernel of all of them.)
go(1, 10)
with open(devices + "/D-20/token", "w") as file:
    file.write(token + "\n")
was = os.stat(devices + "/D-22").st_ino
os.rmdir(devices + "/D-22")
os.rmdir(devices + "/D-25")
os.mkdir(devices + "/D-22")
go(10, 20)
assert status("D-20") == "escrowed\n"
assert os.stat(devices + "/D-22").st_ino > was and status("D-22") == "not_escrowed\n"
assert not os.path.exists(devices + "/D-25")
go(23, 25)
subprocess.run([program, "import", store, message], check=True, capture_output=True)
time.sleep(1.5)
go(26, 34)
assert status("D-34") == "escrowed\n"
go(35, 61)
PY
}

@test "/search: by all names, in any case and with any separators; the later enrolment wins" {
	message Authenticate UDID=FIRST SerialNumber=C02-X OSVersion=14.1 | checkin
	message TokenUpdate UDID=FIRST | checkin
	results QueryResponses '<key>EthernetMAC</key><string>22:7A:00:0B:00:0C</string><key>WiFiMAC</key><string>22:7A:00:0B:00:0D</string><key>IMEI</key><string>35 000000 000010 6</string>' FIRST | checkin
	assert_equal "$(readlink "$M/search/serialnumber/C02-X")" ../../devices/FIRST
	assert_equal "$(readlink "$M/search/serialnumber/c02-x")" ../../devices/FIRST
	assert_equal "$(cat "$M/search/serialnumber/C02-X/bootstrap_status")" not_escrowed
	for mac in 227A000B000C 227a000b000c 22:7a:00:0b:00:0c 22-7A-00-0B-00-0C 227a.000b.000c 22:7a:00:0b:00:0d; do
		assert_equal "$(readlink "$M/search/macaddress/$mac")" ../../devices/FIRST
	done
	assert_equal "$(readlink "$M/search/imeinumber/350000000000106")" ../../devices/FIRST
	assert_equal "$(readlink "$M/search/udid/first")" ../../devices/FIRST
	D=$M/devices/FIRST
	assert_equal "$(readlink "$M/search/deviceid/$(json_of '["Escrow"]["DeviceId"]')")" ../../devices/FIRST
	assert_equal "$(readlink "$M/search/status/not_escrowed/FIRST")" ../../../devices/FIRST
	[ ! -e "$M/search/status/escrowed/FIRST" ]
	[ ! -e "$M/search/serialnumber/nobody" ]
	[ ! -e "$M/search/macaddress/xyz" ]
	message Authenticate UDID=SECOND SerialNumber=C02-X | checkin
	eventually 30 sh -c "[ \"\$(readlink '$M/search/serialnumber/C02-X')\" = ../../devices/SECOND ]"
	assert_equal "$(ls "$M/search/serialnumber" | wc -l)" 1
	[ -e "$M/devices/FIRST/token" ]
	rmdir "$M/devices/SECOND"
	eventually 30 readlink "$M/search/serialnumber/C02-X"
	assert_equal "$(readlink "$M/search/serialnumber/C02-X")" ../../devices/FIRST
}

@test "/metrics in Prometheus' text format" {
	device
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token"
	run -0 cat "$M/metrics"
	assert_has "$output" 'escrowfs_devices{status="escrowed"} 1'
	assert_has "$output" 'escrowfs_events_total{action="retrieve"} 1'
	run ! grep -vE '^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9]+(\.[0-9]+)?)$' "$M/metrics"
}

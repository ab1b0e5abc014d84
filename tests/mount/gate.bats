#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2046,SC2153 # the suite's variables; names here have no blanks
# The gate: owners, modes and ACLs decide, the kernel decides by them, and what is taken away is gone.

load helper

prepare() {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	# The way to a device is open to all; what they may open there is each test's own.
	chmod 0755 "$M/devices" "$M/policy/device"
}

# May user $1 (as `as` takes it) open $2 for reading?
may_read() { as "$1" cat "$2" >/dev/null 2>&1; }
may_not_read() { ! may_read "$@"; }
has_mode() { [ "$(stat -c %a "$2")" = "$1" ]; }

entries() {
	(cd "$M" && printf '%s\n' devices search policy policy/* audit checkin metrics "devices/$UDID" "devices/$UDID"/*)
}

@test "chmod, chown and setfacl on every entry, and all of it lasts" {
	local entry mode
	for entry in $(entries); do
		mode=0640
		[ -d "$M/$entry" ] && [[ $entry != policy/* ]] && mode=0751
		chmod $mode "$M/$entry"
		chown 1001:2001 "$M/$entry"
		setfacl -m u:1002:r,g:2002:- "$M/$entry"
		assert_equal "$(stat -c %u:%g "$M/$entry")" 1001:2001
	done
	(cd "$M" && getfacl -n $(entries)) >"$T/before"
	grep -q user:1002:r-- "$T/before"
	unmount
	mount_again
	(cd "$M" && getfacl -n $(entries)) >"$T/after"
	diff "$T/before" "$T/after"
	for entry in $(entries); do
		setfacl -b "$M/$entry"
	done
	run -1 grep -r 1002 <(cd "$M" && getfacl -n $(entries))
}

@test "what chmod, chown and setfacl answered is what stat says right after it, of a file that was looked at before" {
	local mode
	device A
	for mode in 0604 0640 0600 0644; do
		ls -l "$M/devices/A" >/dev/null
		cat "$M/devices/A/security.json" >/dev/null
		chmod $mode "$M/devices/A/security.json" "$M/devices/A/bootstrap_status"
		assert_equal "$(stat -c %a "$M/devices/A/security.json")" "${mode#0}"
		assert_equal "$(stat -c %a "$M/devices/A/bootstrap_status")" "${mode#0}"
	done
	chown 12:34 "$M/devices/A"
	assert_equal "$(stat -c %u:%g "$M/devices/A")" 12:34
	setfacl -m u:7:r "$M/devices/A/security.json"
	assert_has "$(getfacl -cn "$M/devices/A/security.json" 2>/dev/null)" user:7:r--
	chmod 0711 "$M/policy/device"
	assert_equal "$(stat -c %a "$M/policy/device")" 711
}

@test "setuid, setgid and sticky bits are refused" {
	local entry before
	for entry in $(entries); do
		before=$(stat -c %a "$M/$entry")
		for bit in 4000 2000 1000; do
			assert_equal "$(errno_of "os.chmod(p, 0o$bit | 0o755)" "$M/$entry")" EPERM
		done
		assert_equal "$(stat -c %a "$M/$entry")" "$before"
	done
}

@test "an ACL with a mask: chmod sets the mask, setfacl the group's bits, -x and -b take away" {
	setfacl -m u:1001:rw "$D/token"
	assert_equal "$(stat -c %a "$D/token")" 660
	chmod 0640 "$D/token"
	assert_has "$(getfacl -np "$D/token")" 'mask::r--'
	assert_has "$(getfacl -np "$D/token")" '#effective:r--'
	may_read 1001 "$D/token"
	assert_equal "$(as 1001 python3 -c 'import os, sys
try:
    os.open(sys.argv[1], os.O_WRONLY)
except OSError as e:
    print(e.strerror)' "$D/token")" 'Permission denied'
	setfacl -x u:1001 "$D/token"
	may_not_read 1001 "$D/token"
	setfacl -b "$D/token"
	run -1 grep -E 'mask|user:[0-9]' <(getfacl -np "$D/token")
}

@test "default ACLs: on directories alone, set and taken away with -k" {
	setfacl -d -m u:1001:r "$D"
	assert_has "$(getfacl -np "$D")" 'default:user:1001:r--'
	setfacl -k "$D"
	run -1 grep default <(getfacl -np "$D")
	run -1 setfacl -d -m u:1001:r "$D/token"
}

@test "policy: one change for every device that has no setting of its own, those to come as well" {
	device PINNED
	chmod 0600 "$D/token"
	device LATER-1
	chgrp 4321 "$M/policy/token"
	chmod 0640 "$M/policy/token"
	device LATER-2
	for udid in "$UDID" LATER-1 LATER-2; do
		assert_equal "$(stat -c %a:%g "$M/devices/$udid/token")" 640:4321
		may_read 1001:4321 "$M/devices/$udid/token"
	done
	assert_equal "$(stat -c %a:%g "$M/devices/PINNED/token")" 600:0
	may_not_read 1001:4321 "$M/devices/PINNED/token"
}

@test "policy of the directory and of the other two files" {
	chown 1001:2001 "$M/policy/security.json"
	chmod 0604 "$M/policy/bootstrap_status"
	chmod 0711 "$M/policy/device"
	setfacl -m g:2002:r "$M/policy/security.json"
	device NEW
	eventually 20 has_mode 604 "$M/devices/$UDID/bootstrap_status"
	assert_equal "$(stat -c %u:%g "$M/devices/$UDID/security.json")" 1001:2001
	assert_equal "$(stat -c %a "$M/devices/$UDID")" 711
	assert_has "$(getfacl -np "$D/security.json")" 'group:2002:r--'
	may_read 1003:2002 "$D/security.json"
	run -2 as 1003 ls "$D"
	setfacl -b "$M/policy/security.json"
	eventually 20 may_not_read 1003:2002 "$D/security.json"
}

@test "policy: ACLs too" {
	setfacl -m u:1001:r "$M/policy/token"
	may_read 1001 "$D/token"
	may_not_read 1002 "$D/token"
	device NEW
	assert_has "$(getfacl -np "$D/token")" 'user:1001:r--'
	setfacl -x u:1001 "$M/policy/token"
	may_not_read 1001 "$D/token"
}

@test "setting one thing pins owner, group, mode and ACL as they then stand" {
	chmod 0640 "$M/policy/token"
	chgrp 4321 "$M/policy/token"
	setfacl -m u:1001:r "$M/policy/token"
	chown 1002 "$D/token"
	getfacl -np "$D/token" >"$T/pinned"
	setfacl -b "$M/policy/token"
	chmod 0 "$M/policy/token"
	chown 0:0 "$M/policy/token"
	getfacl -np "$D/token" | diff "$T/pinned" -
	may_read 1001 "$D/token"
	may_read 1003:4321 "$D/token"
	# the other files of the device stay with the policy
	chmod 0600 "$M/policy/security.json"
	eventually 20 has_mode 600 "$D/security.json"
}

@test "who may change modes: the owner and root, nobody else" {
	chown 1001 "$D/token"
	as 1001 chmod 0644 "$D/token"
	assert_equal "$(stat -c %a "$D/token")" 644
	run -1 as 1002 chmod 0666 "$D/token"
	run -1 as 1002 setfacl -m u:1002:rw "$D/token"
	run -1 as 1001 chown 1002 "$D/token"
	as 1001:1001,2001 chgrp 2001 "$D/token"
	run -1 as 1001 chgrp 2002 "$D/token"
	chmod 0755 "$M/policy"
	run -1 as 1002 chmod 0666 "$M/policy/token"
	assert_equal "$(stat -c %a:%u:%g "$D/token" "$M/policy/token" | tr '\n' ' ')" '644:1001:2001 600:0:0 '
}

@test "what the kernel refuses is EACCES, and no use of the escrow" {
	local before
	before=$(lines)
	run -1 as 1001 cat "$D/token"
	assert_has "$output" 'Permission denied'
	run -1 as 1001 cat "$D/security.json"
	run -1 as 1001 cat "$M/audit"
	run -1 as 1001 cat "$M/checkin"
	run -2 as 1001 ls "$M/search"
	run -1 as 1001 mkdir "$M/devices/MINE"
	run -1 as 1001 rmdir "$D"
	chmod 0750 "$M/devices"
	run -1 as 1001 cat "$D/bootstrap_status"
	# one line: the mode of /devices
	assert_equal "$(lines)" $((before + 1))
}

@test "a group that may write /devices makes and takes away devices" {
	chgrp 4321 "$M/devices"
	chmod 0775 "$M/devices"
	as 1001:4321 mkdir "$M/devices/MINE"
	as 1001:4321 rmdir "$M/devices/MINE"
	[ ! -e "$M/devices/MINE" ]
	run -1 as 1001 mkdir "$M/devices/MINE"
}

# A caller as uid 1001 that stands in the device's directory, has read the token, holds its attributes and an
# O_PATH descriptor: then tries all ways in again each time that a line comes, and says what came of it.
start_insider() {
	mkfifo "$T/ask" "$T/answer"
	chmod 666 "$T/ask" "$T/answer"
	cat >"$T/insider.py" <<'PY'
import errno, os, sys
asked, answer = open(sys.argv[2]), open(sys.argv[3], "w", buffering=1)
os.chdir(sys.argv[1])
held = os.open("token", os.O_PATH)
def attempt(path, flags):
    try:
        os.close(os.open(path, flags))
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]
for line in asked:
    if line == "end\n":
        break
    if line == "stat\n":
        os.stat("token"), os.access("token", os.R_OK)
        answer.write("done\n")
        continue
    flags = getattr(os, line.strip())
    answer.write(" ".join(attempt(p, flags) for p in ("/proc/self/fd/%d" % held, "token", sys.argv[1] + "/token")) + "\n")
PY
	as 1001 python3 "$T/insider.py" "$D" "$T/ask" "$T/answer" &
	insider=$!
	# open both ways, so that no open waits for the other end
	exec 8<>"$T/ask" 9<>"$T/answer"
}
insider_may() { [ "$(ask_insider "$1")" = 'ok ok ok' ]; }
end_insider() {
	echo end >&8
	exec 8>&- 9<&-
	wait "$insider"
	rm "$T/ask" "$T/answer"
}
ask_insider() {
	local answer
	echo "$1" >&8
	read -r -t 20 answer <&9
	echo "$answer"
}

@test "revocation is at once: by mode, owner, ACL and policy, with the directory entered, attributes cached, O_PATH held" {
	local give take flags
	for flags in O_RDONLY O_RDWR O_WRONLY; do
		# a fresh device, which has no settings of its own
		device "WITH-${flags#O_}"
		start_insider
		while IFS='|' read -r give take; do
			eval "$give"
			eventually 20 insider_may $flags
			assert_equal "$(ask_insider $flags)" 'ok ok ok'
			ask_insider stat
			eval "$take"
			assert_equal "$take: $(ask_insider $flags)" "$take: EACCES EACCES EACCES"
		done <<-'END'
			setfacl -m u:1001:rw "$M/policy/token" | setfacl -x u:1001 "$M/policy/token"
			chmod 0666 "$M/policy/token" | chmod 0660 "$M/policy/token"
			chown 1001 "$M/policy/token" | chown 0 "$M/policy/token"
			setfacl -b "$M/policy/token"; chmod 0660 "$M/policy/token"; chgrp 1001 "$M/policy/token" | chgrp 0 "$M/policy/token"
			setfacl -m u:1001:rw "$D/token" | setfacl -x u:1001 "$D/token"
			setfacl -m u:1001:rw "$D/token" | setfacl -m m::- "$D/token"
			setfacl -m u:1001:rw "$D/token" | setfacl -b "$D/token"
			chmod 0666 "$D/token" | chmod 0600 "$D/token"
			chown 1001 "$D/token" | chown 0 "$D/token"
			chgrp 1001 "$D/token" && chmod 0660 "$D/token" | chgrp 0 "$D/token"
		END
		end_insider
	done
}

@test "elsewhere it is gone within moments" {
	chmod 0644 "$M/policy/security.json"
	eventually 20 may_read 1001 "$D/security.json"
	as 1001 stat "$D/security.json"
	chmod 0600 "$M/policy/security.json"
	eventually 20 may_not_read 1001 "$D/security.json"
	chmod 0700 "$M/policy/device"
	eventually 20 may_not_read 1001 "$D/bootstrap_status"
}

@test "what was opened before stays open, and reads what it was opened on" {
	chmod 0644 "$D/token"
	exec 5<"$D/token"
	chmod 0 "$D/token"
	assert_equal "$(cat <&5)" "$TOKEN_1"
}

@test "/proc/self/fd of somebody else's descriptor is a new open, and asks again" {
	exec 5<"$D/token"
	run -1 as 1001 bash -c 'cat /proc/self/fd/5'
	exec 5<&-
}

@test "capabilities mean what they mean elsewhere" {
	# without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH root is a user like others
	chown 1001:1001 "$D/token"
	cat "$D/token"
	run -1 setpriv --inh-caps=-all --bounding-set=-dac_override,-dac_read_search cat "$D/token"
	assert_has "$output" 'Permission denied'
}

@test "random combinations of mode, owner, group, ACL, directory mode and caller: every verdict as on tmpfs" {
	unmount
	mkdir "$T/tmpfs"
	mount -t tmpfs tmpfs "$T/tmpfs"
	# The store there too: each change is on disk before it is answered.
	mv "$S" "$T/tmpfs/store"
	S=$T/tmpfs/store
	mkdir "$T/tmpfs/twin"
	mount_again -o "key=$T/store.key.pem"
	python3 "$BATS_TEST_DIRNAME/gate_property.py" "$M" "$T/tmpfs/twin" "${GATE_ROUNDS:-2000}" "${GATE_SEED:-1}"
	unmount
	escrowfs verify "$S"
}

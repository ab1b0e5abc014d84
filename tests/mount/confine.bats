#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153 # tests are subshells; UDID is a plain word
# What the daemon gives up once it serves, and what is left to somebody who takes it over: an attacker that is linked
# into it (tests/attack/attacker.c) tries on each of its threads what such a one would. For builds as they are shipped:
# those for sanitizers and valgrind are let do what these tools do (src/cli/confine.h).

load helper

setup_file() {
	local build
	: "${ESCROWFS:=$BATS_TEST_DIRNAME/../../build/escrowfs}"
	build=$(dirname "$(realpath "$ESCROWFS")")
	make -s -C "$BATS_TEST_DIRNAME/../.." BUILD="$build" all attacked >&2
	export ATTACKED=$build/attacked
}

is_mounted() { grep -q " $M fuse.escrowfs " /proc/mounts; }
not_mounted() { ! is_mounted; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
# Who serves, and who waits for its end.
server() { pgrep -f "(escrowfs|attacked) mount (-f )?$S $M"; }
keeper() { pgrep -f "^escrowfs: unmounts $M\$"; }
status_line() { awk -v name="$2:" '$1 == name { $1 = ""; print substr($0, 2) }' "/proc/$1/status"; }

# What some work leaves running: all the threads that there may be.
work() {
	device "${1:-$UDID}"
	seq 12 | xargs -P 12 -I{} sh -c "echo '$TOKEN_1' >'$D/token'; cat '$D/token' >/dev/null"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	assert_has "$(tail -n 1 "$M/audit")" '"command":"cat"'
}

# ---- the attacker ----

# Sends SIGUSR2 to each thread of process $1 that takes it, and waits for what it says.
provoke() {
	python3 - "$1" "$T/attack" <<'PY'
import ctypes, os, sys, time
pid, log = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None)
threads = []
for tid in os.listdir(f"/proc/{pid}/task"):
    blocked = next(int(l.split()[1], 16) for l in open(f"/proc/{pid}/task/{tid}/status") if l.startswith("SigBlk"))
    if not blocked >> 11 & 1:
        threads.append(tid)
assert len(threads) >= 4, threads
for tid in threads:
    assert libc.tgkill(pid, int(tid), 12) == 0
for _ in range(1200):
    text = open(log).read()
    if all(f"{tid} end done\n" in text for tid in threads):
        break
    time.sleep(0.1)
else:
    sys.exit(f"{threads}: no end: {text}")
tries = [line.split() for line in text.splitlines()]
names = {name for _, name, _ in tries}
assert len(names) > 60, names
for name in names:
    assert {tid for tid, n, _ in tries if n == name} == set(threads), name
bad = [t for t in tries if t[1] != "end" and t[2] not in ("ENOSYS", "EPERM", "EACCES")]
assert not bad, bad
PY
}

attacked() {
	escrowfs init "$S" >"$T/init.out"
	escrowfs init "$T/other" >"$T/init2.out"
	mkdir "$T/victim"
	echo here >"$T/victim/file"
	chmod 777 "$T/victim" "$T/victim/file"
	export ATTACK_LOG=$T/attack ATTACK_VICTIM=$T/victim
	export ATTACK_FILES=/etc/shadow:/etc/passwd:$S.key.pem:$S.recovery.pem:$T/other/escrow.db:$T/other.key.pem:/root:/usr/bin/true
}

@test "a program that took the daemon over gets no further: files, network, programs, processes, rights" {
	attacked
	"$ATTACKED" mount "$S" "$M"
	work
	provoke "$(server)"
	assert_equal "$(ls "$T/victim") $(cat "$T/victim/file")" 'file here'
	# and it goes on serving
	work ANOTHER
	umount "$M"
	eventually 100 not_mounted
}

@test "... nor in the foreground, and as a user of its own" {
	attacked
	chown -R bin "$S"
	"$ATTACKED" mount -f "$S" "$M" -o setuid=bin 2>"$T/log" 3>&- &
	eventually 300 is_mounted
	work
	provoke "$(server)"
	work ANOTHER
	kill $!
	wait $!
	not_mounted
}

@test "an attacker who isn't confined does get further: the tries are real" {
	attacked
	ATTACK_AT_ONCE=1 "$ATTACKED" --version
	local name
	for name in open:/etc/shadow "open:$T/other/escrow.db" create rename socket-inet socket-unix-stream; do
		grep -q "^[0-9]* $name done\$" "$T/attack"
	done
	# the program that it started took its place
	run ! grep exec "$T/attack"
}

# ---- what the kernel says of the two processes ----

@test "no capabilities, and no way to any, on each thread; the keeper has the right to unmount" {
	mount_new
	work
	local pid line
	pid=$(server)
	for task in /proc/"$pid"/task/*; do
		for set in CapInh CapPrm CapEff CapBnd CapAmb; do
			assert_equal "$(awk -v s="$set:" '$1 == s { print $2 }' "$task/status")" 0000000000000000
		done
		assert_equal "$(awk '/^NoNewPrivs/ { print $2 }' "$task/status")" 1
		assert_equal "$(awk '/^Seccomp:/ { print $2 }' "$task/status")" 2
	done
	pid=$(keeper)
	# CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH
	assert_equal "$(status_line "$pid" CapPrm)" 0000000000200004
	assert_equal "$(status_line "$pid" CapBnd)" 0000000000200004
	assert_equal "$(status_line "$pid" NoNewPrivs)" 1
	assert_equal "$(status_line "$pid" Seccomp)" 2
	assert_equal "$(status_line "$pid" Threads)" 1
}

@test "a kernel without Landlock: said in the log, and the rest holds" {
	escrowfs init "$S"
	strace -f -qq -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=ENOSYS -e signal=none -o "$T/strace" \
		"$ESCROWFS" mount -f "$S" "$M" 2>"$T/log" 3>&- &
	eventually 300 grep -q serving "$T/log"
	grep -q 'no Landlock' "$T/log"
	work
	umount "$M"
	wait
}

@test "a kernel that takes no list of system calls: nothing is served" {
	escrowfs init "$S"
	run -1 strace -f -qq -e trace=seccomp -e inject=seccomp:error=EINVAL \
		-e signal=none -o "$T/strace" "$ESCROWFS" mount -f "$S" "$M" 3>&-
	assert_has "$output" 'seccomp'
	not_mounted
}

# ---- its user ----

@test "it serves as the user to whom the store belongs, whoever mounts it; what is in it is still root's" {
	escrowfs init "$S"
	chown -R bin:4321 "$S"
	for option in threads=2 setuid=bin; do
		mount_again -o "$option"
		assert_equal "$(stat -c %U "/proc/$(server)/environ")" root # closed to others of that user
		assert_equal "$(status_line "$(server)" Uid)" "2 2 2 2"
		work "DEVICE-${option#*=}"
		assert_equal "$(stat -c %U:%g "$S"/escrow.db* "$S/lock" | sort -u)" bin:4321
		assert_equal "$(stat -c %U "$M/devices" "$D/token" "$M/audit" | sort -u)" root
		# root's commands go on beside it, and leave nothing that it can't use
		escrowfs rekey "$S" --list >/dev/null
		escrowfs verify "$S"
		echo "$TOKEN_1" >"$D/token"
		unmount
		eventually 50 not_mounted
		assert_equal "$(find "$S" ! -user bin)" ''
	done
}

# A copy may come without `lock`, which holds nothing.
@test "root's mount, and root's status of an older store, make a lock that the store's user can open" {
	local old=$T/old
	escrowfs init "$S"
	chown -R bin:4321 "$S"
	rm "$S/lock"
	mount_again
	assert_equal "$(stat -c %U:%g "$S/lock")" bin:4321
	unmount
	# ... but what somebody put in its place stays whose it is
	: >"$T/file"
	ln -f "$T/file" "$S/lock"
	mount_again
	assert_equal "$(stat -c %U "$T/file")" root
	unmount
	mkdir -m 0700 "$old"
	sqlite3 "$old/escrow.db" <"$BATS_TEST_DIRNAME/../unit/schema_1.sql" >/dev/null
	chown -R bin:4321 "$old"
	escrowfs status "$old"
	assert_equal "$(find "$old" ! -user bin -o ! -group 4321)" ''
	[ -e "$old/lock" ]
	as 2:4321 "$ESCROWFS" status "$old"
}

@test "setuid=: a store that isn't that user's is refused, with what to do; so is a user that there isn't" {
	escrowfs init "$S"
	run -1 escrowfs mount "$S" "$M" -o setuid=bin
	assert_has "$output" "chown -R bin: $S"
	run -1 escrowfs mount "$S" "$M" -o setuid=nobodyatall
	assert_has "$output" 'no such user'
	eventually 50 not_mounted
	chown bin "$S"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" "$S: it is served with the rights of its owner"
	eventually 50 not_mounted
	chown -R bin "$S"
	chmod 700 "$T"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" 'must let that user through'
	eventually 50 not_mounted
}

@test "the trail knows who asks, whoever the daemon is: processes of other users" {
	escrowfs init "$S"
	chown -R bin "$S"
	mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	chmod 755 "$M/devices" "$D"
	chmod 644 "$D/token"
	as 4321 cat "$D/token"
	local line
	line=$(trail)
	assert_has "$line" '"uid":4321'
	assert_has "$line" '"command":"cat"'
	# by a thread that isn't its process's first
	as 4321 python3 -c 'import os, sys, threading
t = threading.Thread(target=lambda: os.close(os.open(sys.argv[1], os.O_RDONLY)))
t.start(); t.join(); print(os.getpid())' "$D/token" >"$T/pid"
	assert_has "$(trail)" "\"pid\":$(cat "$T/pid"),"
}

@test "another user's mount is confined as well, and unmounted when the daemon is told to end" {
	# Everybody may open /dev/fuse on most machines; here, in a mount namespace of its own, whatever this one has.
	mknod -m 0666 "$T/fuse" c 10 229
	mkdir -m 777 "$T/user"
	cp "$ESCROWFS" "$T/escrowfs"
	chown bin "$M"
	cat >"$T/script" <<-END
		$T/escrowfs init $T/user/store >$T/user/out
		$T/escrowfs mount -f $T/user/store $M 2>$T/user/log 3>&- &
		until grep -q serving $T/user/log; do kill -0 \$!; sleep 0.1; done
		mkdir $M/devices/A
		echo $TOKEN_1 >$M/devices/A/token
		cat $M/devices/A/token
		server=\$(pgrep -P \$!)
		grep -E '^(NoNewPrivs|Seccomp):' /proc/\$server/status | tr -d '\t\n '
		kill \$!
		wait \$!
		ls $M
		! grep ' $M fuse' /proc/mounts
	END
	run -0 --separate-stderr unshare --mount --propagation private bash -euc "
		mount --bind '$T/fuse' /dev/fuse
		setpriv --reuid=bin --regid=bin --clear-groups --inh-caps=-all bash -euo pipefail '$T/script'"
	assert_equal "$output" "$(printf '%s\nNoNewPrivs:1Seccomp:2' "$TOKEN_1")"
}

# ---- mounted by somebody else ----

@test "mount.fuse3 mounts, drops its privileges and starts it as another user" {
	escrowfs init "$S"
	chown -R bin "$S" "$S.key.pem"
	cp "$ESCROWFS" "$T/escrowfs"
	mount.fuse3 "$T/escrowfs#$S" "$M" -o setuid=bin,drop_privileges,allow_other,default_permissions,nodev,nosuid,noexec
	local pid
	pid=$(pgrep -f "escrowfs $S /dev/fd/")
	assert_equal "$(status_line "$pid" Uid)" "2 2 2 2"
	assert_equal "$(status_line "$pid" CapPrm)" 0000000000000000
	work
	assert_equal "$(stat -c %U "$D/token")" bin
	run -1 as 4321 cat "$D/token"
	unmount
	eventually 100 is_gone "$pid"
}

@test "... and it serves nothing that was mounted without a look at modes" {
	escrowfs init "$S"
	run ! mount.fuse3 "$ESCROWFS#$S" "$M" -o drop_privileges,allow_other
	assert_has "$output" default_permissions
	umount "$M"
}

# ---- the two processes ----

@test "the keeper is killed: the daemon ends, cleanly, and the next mount takes its place over" {
	mount_new
	work
	local pid
	pid=$(server)
	kill -9 "$(keeper)"
	eventually 200 is_gone "$pid"
	mount_again
	assert_has "$(tail -n 2 "$M/audit" | head -n 1)" '"action":"unmount"'
	assert_equal "$(grep -c " $M fuse.escrowfs" /proc/mounts)" 1
}

@test "the daemon is killed: its mount stays, so that nothing is written below it, and the keeper says so and ends" {
	escrowfs init "$S"
	"$ESCROWFS" mount -f "$S" "$M" 2>"$T/log" 3>&- &
	eventually 300 grep -q serving "$T/log"
	kill -9 "$(server | grep -v "^$!\$")"
	wait $! || [ $? -eq 1 ]
	assert_has "$(cat "$T/log")" 'ended by signal 9'
	assert_equal "$(errno_of 'os.listdir(p)' "$M")" ENOTCONN
}

@test "who started it ignores the end of children: it is told all the same" {
	escrowfs init "$S"
	run -1 timeout 60 bash -c "trap '' CHLD; exec '$ESCROWFS' mount -f '$T/none' '$M'"
	run -1 timeout 60 bash -c "trap '' CHLD; exec '$ESCROWFS' mount '$T/none' '$M'"
	timeout 60 bash -c "trap '' CHLD; exec '$ESCROWFS' mount '$S' '$M'"
	work
	pkill -TERM -f "escrowfs: unmounts $M"
	eventually 100 not_mounted
}

@test "root of a container that can't change to any user serves a store of its own" {
	escrowfs init "$S"
	# setgroups(2) is denied there.
	unshare -rm bash -c "'$ESCROWFS' mount '$S' '$M' && mkdir '$M/devices/A' && echo $TOKEN_1 >'$M/devices/A/token' &&
		cat '$M/devices/A/token' && umount '$M'" >"$T/said"
	assert_equal "$(cat "$T/said")" "$TOKEN_1"
}

@test "a file of recipients that the store's user can't read is refused at once" {
	escrowfs init "$S"
	chown -R bin "$S"
	openssl x509 -in "$S.key.pem" -out "$T/pins.pem"
	openssl x509 -in "$S.recovery.pem" >>"$T/pins.pem"
	chmod 600 "$T/pins.pem"
	run -1 escrowfs mount "$S" "$M" -o "recipients=$T/pins.pem"
	assert_has "$output" "recipients=$T/pins.pem"
	chmod 644 "$T/pins.pem"
	mount_again -o "recipients=$T/pins.pem"
	work
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2154,SC2016 # tests are subshells; UDID is a plain word
# The units: what systemd thinks of them, and the command lines in them, run as it would run them, but for the change to
# its own view of the filesystem (nsenter). There is no systemd here that could: tests run in containers.

load helper

setup_file() {
	getent passwd escrowfs >/dev/null || useradd --system --no-create-home --home-dir /var/lib/escrowfs escrowfs
}

# All that `make install` installs, for PREFIX $1, below $T/root.
installed() {
	make -s -C "$EXAMPLES/.." BUILD="$(dirname "$(realpath "$ESCROWFS")")" install "DESTDIR=$T/root" "PREFIX=$1" >"$T/make.out"
}

is_mounted() { grep -q " $M fuse.escrowfs " /proc/mounts; }
not_mounted() { ! is_mounted; }

# A store as the unit's comment has it, and the words of the unit's line $1 for it.
store_of_escrowfs() {
	escrowfs init "$S" >"$T/init.out"
	chown -R escrowfs: "$S"
	chgrp escrowfs "$S.key.pem"
	chmod 640 "$S.key.pem"
}
line() {
	sed -n "s|^$1=[+-]*||p" "$EXAMPLES/escrowfs@.service" | head -n 1 |
		sed "s|/usr/bin/nsenter -t 1 -m -r -- ||; s|/usr/local/sbin/escrowfs|$ESCROWFS|; s|/var/lib/escrowfs/%i|$S|; s|/mnt/%i|$M|"
}

@test "make install puts all of it below DESTDIR, and what it installs follows PREFIX" {
	local file
	touch "$T/before"
	installed /opt/escrow
	cd "$T/root"
	for file in opt/escrow/sbin/escrowfs sbin/mount.fuse.escrowfs \
		opt/escrow/share/man/man{8/escrowfs.8,8/mount.fuse.escrowfs.8,5/escrowfs-store.5,7/escrowfs-recovery.7,7/escrowfs-threats.7} \
		opt/escrow/lib/systemd/system/escrowfs{@.service,-backup@.service,-backup@.timer} \
		opt/escrow/lib/tmpfiles.d/escrowfs.conf opt/escrow/share/escrowfs/backup.sh \
		opt/escrow/share/bash-completion/completions/escrowfs opt/escrow/share/doc/escrowfs/examples/retrieve.sh \
		opt/escrow/share/doc/escrowfs/examples/messages/01-macos-10.14-Authenticate.plist; do
		[ -e "$file" ] || [ -L "$file" ] || { echo "$file"; false; }
	done
	assert_equal "$(readlink sbin/mount.fuse.escrowfs)" /opt/escrow/sbin/escrowfs
	grep -q '^ExecStart=/opt/escrow/sbin/escrowfs ' opt/escrow/lib/systemd/system/escrowfs@.service
	grep -q '^ExecStart=/opt/escrow/share/escrowfs/backup.sh ' opt/escrow/lib/systemd/system/escrowfs-backup@.service
	run ! grep -rIE '/usr/local/(sbin|libexec|share)/escrowfs|/usr/local/share/doc' .
	# What isn't ours stays where it is: a script that runs on Macs has their paths.
	grep -q /usr/local/etc/escrow.curl opt/escrow/share/doc/escrowfs/examples/extension-attribute.sh
	opt/escrow/sbin/escrowfs --version
	[ -x opt/escrow/share/escrowfs/backup.sh ]
	# what its paths mean is there
	run -0 grep -ohE '/opt/escrow/[a-z/.]+' opt/escrow/lib/systemd/system/*
	for file in $(printf '%s\n' "${lines[@]}" | grep -v '/s\?bin$' | sort -u); do [ -e ".$file" ] || { echo "$file"; false; }; done
	# and nothing anywhere else
	run -0 find /usr /opt /etc /sbin /lib -xdev -newer "$T/before" \( -name '*escrow*' -o -path '*escrowfs*' \) ! -path "$T/*"
	assert_equal "$output" ''
}

@test "systemd-analyze verify has nothing to say of the units" {
	installed /usr
	mkdir -p "$T/units" "$T/bin"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	local unit
	for unit in "$T"/root/usr/lib/systemd/system/escrowfs*; do
		sed "s|/usr/sbin/escrowfs|$T/bin/escrowfs|; s|/usr/share/escrowfs|$T/root/usr/share/escrowfs|" "$unit" >"$T/units/${unit##*/}"
	done
	for unit in escrowfs@one.service escrowfs-backup@one.service escrowfs-backup@one.timer; do
		SYSTEMD_UNIT_PATH=$T/units: run systemd-analyze verify --man=no --recursive-errors=no "$T/units/${unit/one/}"
		assert_equal "$status $output" '0 '
	done
}

@test "systemd-analyze security: the service is exposed less than 2.0, of 10" {
	run -0 systemd-analyze security --offline=true --threshold=20 "$EXAMPLES/escrowfs@.service"
	assert_has "$output" 'Overall exposure level'
	# what it is not, for the measure to measure something: the same without its lines
	grep -vE '^(Protect|Private|SystemCall|Restrict|Capab|User)' "$EXAMPLES/escrowfs@.service" >"$T/bare@.service"
	run ! systemd-analyze security --offline=true --threshold=20 "$T/bare@.service"
}

# What systemd does of it: keeps the connection that the first command leaves, passes it to the second as descriptor
# 3, as the unit's user, without rights, in a view of its own; a reload; a stop.
as_systemd() {
	python3 - "$T/notify" "$S" "$M" "$(line ExecStartPre)" "$(line ExecStart)" "$(line ExecStopPost)" "$@" <<'PY'
import array, os, select, shlex, signal, socket, subprocess, sys, time
address, store, mount, pre, start, post, *script = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(address)
os.chmod(address, 0o777)
listener.settimeout(60)
store_fds = {}
def hear():
    """One message: its lines; keeps and drops descriptors as systemd does."""
    data, extra, _, _ = listener.recvmsg(65536, socket.CMSG_SPACE(64))
    fds = array.array("i")
    for level, kind, content in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    told = dict(line.split("=", 1) for line in data.decode().split("\n") if line)
    if told.get("FDSTORE") == "1":
        store_fds[told["FDNAME"]] = fds[0]
    elif told.get("FDSTOREREMOVE") == "1":
        os.close(store_fds.pop(told["FDNAME"])) if told["FDNAME"] in store_fds else None
    elif told.get("BARRIER") == "1":
        os.close(fds[0])
    return told
environment = {**os.environ, "NOTIFY_SOCKET": address}
before = subprocess.Popen(shlex.split(pre), env=environment)
while before.poll() is None:
    if select.select([listener], [], [], 0.05)[0]:
        hear()
assert before.returncode == 0, before.returncode
assert list(store_fds) == ["escrowfs"], store_fds

def child():
    os.dup2(store_fds["escrowfs"], 3)
    os.set_inheritable(3, True)
    os.environ.update(NOTIFY_SOCKET=address, LISTEN_FDS="1", LISTEN_FDNAMES="escrowfs", LISTEN_PID=str(os.getpid()))
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "slave", "--", "bash", "-euc",
        'mkdir -m 0 "$1.none" && mount --bind "$1.none" "$1" && shift && '
        'exec setpriv --reuid=escrowfs --regid=escrowfs --init-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"',
        "-", os.path.dirname(mount), *shlex.split(start)])
pid = os.fork()
if pid == 0:
    child()
def until(word):
    while True:
        told = hear()
        if word in told:
            return told
import atexit
def end():
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
atexit.register(end)
told = until("READY")
assert f"Serving {store} on {mount}" in told["STATUS"], told
assert not store_fds, "systemd keeps the connection, so that it would outlive the service"
subprocess.run(["bash", "-euo", "pipefail", "-c", script[0]], check=True, env={**os.environ, "MAIN": str(pid)})
os.kill(pid, signal.SIGHUP)
until("RELOADING")
print(until("READY")["STATUS"])
os.kill(pid, signal.SIGTERM)
_, status = os.waitpid(pid, 0)
atexit.unregister(end)
subprocess.run(shlex.split(post), check=False)
assert status == 0, status
PY
}

@test "the unit's command lines, as systemd runs them: mounted for everybody, served by a user without any right" {
	M=$T/point/mnt
	mkdir -p "$M"
	store_of_escrowfs
	run --separate-stderr as_systemd "
		mkdir $M/devices/$UDID
		echo $TOKEN_1 >$M/devices/$UDID/token
		cat $M/devices/$UDID/token
		stat -c %U $M/devices/$UDID/token
		chgrp bin $M/devices $M/policy/* && chmod 640 $M/policy/token && chmod 750 $M/devices
		setpriv --reuid=65534 --regid=bin --clear-groups cat $M/devices/$UDID/token
		setpriv --reuid=65534 --regid=65534 --clear-groups cat $M/devices/$UDID/token 2>&1 | sed 's/.*: //' || :
		for p in \$(pgrep -P \$MAIN) \$MAIN; do awk '/^(Uid|CapPrm|CapBnd|NoNewPrivs|Seccomp):/ { printf \"%s%s \", \$1, \$2 }' /proc/\$p/status; done; echo
		tail -n 1 $M/audit | grep -o '\"command\":\"[a-z]*\"'
		$ESCROWFS status $S | grep '^served by'
	"
	[ "$status" -eq 0 ] || { echo "$output$stderr"; false; }
	local uid
	uid=$(id -u escrowfs)
	assert_equal "${lines[*]:0:5}" "$TOKEN_1 escrowfs $TOKEN_1 Permission denied Uid:$uid CapPrm:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 Uid:$uid CapPrm:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 "
	assert_equal "${lines[5]}" '"command":"cat"'
	assert_has "${lines[6]}" "mounted on $M"
	assert_has "${lines[7]}" "Serving $S on $M"
	not_mounted
	run -0 escrowfs verify "$S"
}

@test "connect: told by itself what is wrong, and nothing is left mounted" {
	store_of_escrowfs
	run -1 escrowfs connect "$S" "$M"
	assert_has "$output" 'there is no systemd to take the connection'
	not_mounted
	run -1 escrowfs connect "$S" "$T/nowhere"
	assert_has "$output" 'make the directory first'
	run -2 escrowfs connect "$S"
	run -2 escrowfs connect --nonsense "$S" "$M"
	run -0 escrowfs connect --help
}

@test "an empty credential is no passphrase; one that is there opens the key" {
	escrowfs init "$S" >"$T/init.out"
	mkdir -m 700 "$T/credentials"
	(umask 077 && echo >"$T/credentials/escrowfs.passphrase")
	CREDENTIALS_DIRECTORY=$T/credentials mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	(umask 077 && echo word >"$T/credentials/escrowfs.passphrase")
	openssl pkcs8 -topk8 -in "$S.key.pem" -passout "file:$T/credentials/escrowfs.passphrase" -out "$T/locked.pem"
	cat "$T/locked.pem" >"$S.key.pem"
	CREDENTIALS_DIRECTORY=$T/credentials mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	# it is read again, too
	pkill -HUP -f "^escrowfs: unmounts $M\$"
	sleep 0.3
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "the backup unit's command line: mounts sealed, runs restic, unmounts" {
	escrowfs init "$S" >"$T/init.out"
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	mkdir "$T/bin" "$T/cache"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	export PATH=$T/bin:$PATH SEALED=$T/sealed CACHE_DIRECTORY=$T/cache
	export RESTIC_REPOSITORY=$T/restic RESTIC_PASSWORD_FILE=$T/password
	echo password >"$T/password"
	restic --cache-dir "$T/cache" init >"$T/restic.out"
	local command
	command=$(sed -n 's|^ExecStart=||p' "$EXAMPLES/escrowfs-backup@.service" |
		sed "s|/usr/local/share/escrowfs|$EXAMPLES|; s|/var/lib/escrowfs/%i|$S|")
	eval "$command"
	restic --cache-dir "$T/cache" ls latest | grep -q 'devices/.*/token'
	run ! grep " $SEALED " /proc/mounts
}

# systemd takes a RuntimeDirectory= away when the unit stops, whoever else has it: a mount there goes with it.
@test "two stores are backed up at the same time: neither unit takes away the other's directory" {
	local unit directory
	for unit in "$EXAMPLES"/*@.service "$EXAMPLES"/nginx/*@.service; do
		directory=$(sed -n 's/^RuntimeDirectory=//p' "$unit")
		[ -z "$directory" ] || [[ $directory == *%i* ]] || grep -qx RuntimeDirectoryPreserve=yes "$unit" || {
			echo "$unit: all instances have $directory, and the first one that stops takes it away"
			false
		}
	done
}

@test "bash completion: commands, their options, mount's" {
	completed() {
		bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _escrowfs; echo "${COMPREPLY[*]}"' - \
			"$EXAMPLES/escrowfs.bash" "$ESCROWFS" "$@"
	}
	assert_equal "$(completed re)" 'restore rekey'
	assert_equal "$(completed rekey --re)" '--recipients --remember --retire'
	assert_equal "$(completed mount store dir -o se)" 'sealed setuid='
	assert_equal "$(completed export store --to c)" csv
	for command in $("$ESCROWFS" --help | sed -n 's/^  escrowfs \([a-z]*\) .*/\1/p'); do
		assert_has " $(completed '') " " $command "
	done
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2154 # tests are subshells; UDID is a plain word
# SIGHUP: a mount reads its key, its passphrase and its file of recipients again, and goes on with what it had where
# that can't be had.

load helper

prepare() { escrowfs init "$S" >"$T/init.out"; }

is_mounted() { grep -q " $M fuse.escrowfs " /proc/mounts; }
server() { pgrep -f "escrowfs mount -f $S $M"; }
keeper() { pgrep -f "^escrowfs: unmounts $M\$"; }
no_keeper() { ! keeper; }

# In the foreground, with its log in $T/log.
serve() {
	"$ESCROWFS" mount -f "$S" "$M" "$@" 2>>"$T/log" 3>&- &
	eventually 300 grep -q "serving $S" "$T/log"
}

# A signal, to the keeper unless told otherwise; and waits until another line of the log says what came of it.
reload() { # reload WORDS [PID]
	local before
	before=$(grep -c "$1" "$T/log") || :
	kill -HUP "${2:-$(keeper)}"
	eventually 200 said_more "$1" "$before"
}
said_more() { [ "$(grep -c "$1" "$T/log")" -gt "$2" ]; }

# A new key and its certificate, $T/NAME.key and $T/NAME.pem.
new_key() {
	(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 9 -subj "/CN=$1" \
		-keyout "$T/$1.key" -out "$T/$1.pem" 2>"$T/req")
}
fingerprint() { openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//'; }

# As the manual has it: the new key is made a recipient, takes the old one's place, and the old one is retired.
replace_key() {
	fingerprint "$S.key.pem" >"$T/old"
	new_key new
	escrowfs rekey "$S" --add "$T/new.pem" >"$T/rekey.out"
	cat "$T/new.pem" >>"$T/new.key"
	mv "$T/new.key" "$S.key.pem"
}
retire_old() { escrowfs rekey "$S" --retire "$(cat "$T/old")" >"$T/rekey.out"; }

@test "another key in the old one's place is taken up, without an unmount" {
	serve
	device
	echo "$TOKEN_1" >"$D/token"
	replace_key
	reload 'another one than before'
	retire_old
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	run ! grep -q 'opens nothing' "$T/log"
	# a descriptor that was opened is no reason against the next time
	for _ in 1 2 3; do reload 'and is the same'; done
	assert_equal "$(find "/proc/$(keeper)/fd" -lname '*.pem' | wc -l)" 0
	assert_equal "$(find "/proc/$(server)/fd" -lname '*.pem' | wc -l)" 0
}

@test "a signal to the process that serves does the same" {
	serve
	device
	echo "$TOKEN_1" >"$D/token"
	replace_key
	reload 'another one than before' "$(server)"
	retire_old
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a signal that ends it does so after one that didn't, and so does the second of two" {
	local holder
	# A shell's background command may be deaf to SIGINT; the first mount waits here for somebody who writes.
	mkfifo "$T/end"
	python3 -c 'import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
open(sys.argv[2]).read()' "$S/escrow.db" "$T/end" >"$T/held" 3>&- &
	holder=$!
	eventually 100 grep -q held "$T/held"
	bash -c 'trap "" INT; exec "$@"' - "$ESCROWFS" mount -f "$S" "$M" 2>"$T/log" 3>&- &
	eventually 100 keeper
	kill -INT "$(keeper)"
	kill -TERM "$(keeper)"
	eventually 50 no_keeper
	wait $!
	assert_equal "$(grep -v 'build for tests' "$T/log")" ''
	run ! is_mounted
	: >"$T/end"
	wait "$holder"

	serve
	kill -HUP "$(keeper)"
	while kill -TERM $! 2>/dev/null; do :; done
	wait $!
	run ! is_mounted
	run ! grep -q 'ended by signal' "$T/log"
}

@test "the keeper tells its directory in ps, however short the command was" {
	local long
	long=$T/$(printf 'l%.0s' {1..100})
	mkdir "$long"
	ln -s "$S" "$T/s"
	ln -s "$long" "$T/m"
	cd "$T"
	escrowfs mount s m
	run -0 pgrep -f "^escrowfs: unmounts $long\$"
	cd /
	umount "$long"
}

@test "in the background, and served as another user who can't read the key" {
	chown -R bin "$S"
	mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	replace_key
	assert_equal "$(stat -c '%U %a' "$S.key.pem")" 'root 600'
	pkill -HUP -f "^escrowfs: unmounts $M\$"
	sleep 0.2
	retire_old
	eventually 100 cmp "$D/token" <(echo "$TOKEN_1")
	unmount
}

@test "what can't be read, or is no recipient's key, stays in use as it was" {
	serve
	device
	echo "$TOKEN_1" >"$D/token"
	cp -p "$S.key.pem" "$T/kept"
	still_reads() {
		assert_equal "$(cat "$D/token")" "$TOKEN_1"
		echo "$TOKEN_1" >"$D/token"
	}
	refused() { # refused WORDS
		reload 'the private key from before stays in use'
		assert_has "$(grep 'stays in use' "$T/log" | tail -n 1)" "$1"
		assert_has "$(grep 'stays in use' "$T/log" | tail -n 1)" "$S.key.pem"
		still_reads
		rm -rf "$S.key.pem"
	}
	echo nonsense >"$S.key.pem" && chmod 600 "$S.key.pem"
	refused 'no private key that OpenSSL understands'
	refused 'there is no such file'
	new_key other
	cp "$T/other.key" "$S.key.pem" && chmod 600 "$S.key.pem"
	refused 'none of the recipients'
	cp -p "$T/kept" "$S.key.pem" && chmod 644 "$S.key.pem"
	refused 'others have permissions'
	mkfifo -m 600 "$S.key.pem"
	refused 'not a regular file'
	mkdir "$S.key.pem"
	refused 'not a regular file'
	head -c 100 "$T/kept" >"$S.key.pem" && chmod 600 "$S.key.pem"
	refused 'no private key'
	cp -p "$T/kept" "$S.key.pem"
	reload 'and is the same'
	still_reads
}

@test "a key replaced by a link of somebody else's isn't followed; one of one's own is" {
	mkdir -m 777 "$T/open" "$T/closed"
	chmod 755 "$T/closed"
	cp -p "$S.key.pem" "$T/open/key.pem"
	cp -p "$S.key.pem" "$T/closed/real.pem"
	serve -o "key=$T/open/key.pem"
	device
	echo "$TOKEN_1" >"$D/token"
	rm "$T/open/key.pem"
	ln -s /etc/shadow "$T/open/key.pem"
	reload 'a symbolic link in a directory that others may write'
	ln -sf "$T/closed/real.pem" "$T/open/key.pem"
	reload 'a symbolic link in a directory that others may write'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	rm "$T/open/key.pem"
	ln -s /etc/shadow "$T/closed/shadow.pem"
	cp -p "$T/closed/real.pem" "$T/open/key.pem"
	reload 'and is the same'
	unmount
	# root's own
	ln -s real.pem "$T/closed/key.pem"
	: >"$T/log"
	serve -o "key=$T/closed/key.pem"
	reload 'and is the same'
	# ... also one that is none of the keys: then nothing of it is used
	ln -sf shadow.pem "$T/closed/key.pem"
	reload 'stays in use'
	run ! grep -q root: "$T/log"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "the keeper opens no other file than it was told of at first, whatever the store says" {
	serve
	device
	echo "$TOKEN_1" >"$D/token"
	new_key other
	sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "UPDATE store SET key_uri = '$T/other.key'"
	strace -f -qq -e trace=openat2,openat,open -o "$T/opens" -p "$(keeper)" 3>&- &
	local strace=$!
	eventually 100 grep -q '^TracerPid:.*[1-9]' "/proc/$(keeper)/status"
	reload "has its daily key at $T/other.key by now"
	kill "$strace" && wait "$strace" || :
	grep -q "$S.key.pem" "$T/opens"
	run ! grep -q other.key "$T/opens"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "200 readers get their tokens while keys come and go" {
	serve
	local i
	for i in $(seq 200); do set_token "$TOKEN_1" "DEVICE-$i"; done >"$T/set"
	python3 - "$T/set" >"$T/messages" <<'PY'
import sys
sys.stdout.write(open(sys.argv[1]).read())
PY
	escrowfs import "$S" "$T/messages" >"$T/import.out"
	cp -p "$S.key.pem" "$T/first"
	new_key second
	escrowfs rekey "$S" --add "$T/second.pem" >"$T/rekey.out"
	python3 - "$M" "$S.key.pem" "$T/first" "$T/second.key" "$(keeper)" "$TOKEN_1" <<'PY'
import os, shutil, signal, sys, threading, time
mount, key, first, second, keeper, token = sys.argv[1:]
failed, reads, stop = [], [0] * 200, threading.Event()
def read(i):
    path = f"{mount}/devices/DEVICE-{i + 1}/token"
    while not stop.is_set():
        try:
            with open(path) as f:
                if f.read().strip() != token:
                    failed.append((i, "another token"))
            reads[i] += 1
        except OSError as error:
            failed.append((i, error))
threads = [threading.Thread(target=read, args=(i,)) for i in range(200)]
for thread in threads:
    thread.start()
for turn in range(40):
    shutil.copy2(second if turn % 2 == 0 else first, key + ".new")
    os.rename(key + ".new", key)
    os.kill(int(keeper), signal.SIGHUP)
    time.sleep(0.05)
while min(reads) == 0 and not failed:
    time.sleep(0.1)
stop.set()
for thread in threads:
    thread.join()
assert not failed, failed[:3]
PY
	eventually 100 grep -q 'another one than before' "$T/log"
	run ! grep -q 'stays in use' "$T/log"
}

@test "a mount without a key takes one up that is there by now; a passphrase is read again as well" {
	mv "$S.key.pem" "$T/key"
	serve
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(errno_of 'open(p)' "$D/token")" ENOKEY
	reload 'there is no private key still'
	cp -p "$T/key" "$S.key.pem"
	reload 'there was none before'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_has "$(cat "$M/metrics")" 'escrowfs_key_present 1'
	unmount
	wait
	: >"$T/log"
	(umask 077 && echo first >"$T/pass" && openssl pkcs8 -topk8 -in "$T/key" -passout "file:$T/pass" -out "$S.key.pem")
	serve -o "passphrase-file=$T/pass"
	(umask 077 && echo second >"$T/second" && openssl pkcs8 -topk8 -in "$T/key" -passout "file:$T/second" -out "$S.key.pem")
	reload "the passphrase in passphrase-file=$T/pass doesn't open it"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	mv "$T/second" "$T/pass"
	reload 'and is the same'
	rm "$T/pass"
	reload "the passphrase can't be used"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "another file of recipients in the old one's place: read by SIGHUP, and only then" {
	for key in "$S.key.pem" "$S.recovery.pem"; do openssl x509 -in "$key"; done >"$T/pins"
	cp "$T/pins" "$T/pins.pem"
	serve -o "recipients=$T/pins.pem"
	device
	echo "$TOKEN_1" >"$D/token"
	new_key new
	{ cat "$T/pins" "$T/new.pem"; } >"$T/more" && mv "$T/more" "$T/pins.pem"
	escrowfs rekey "$S" --recipients "$T/pins.pem" --add "$T/new.pem" >"$T/rekey.out"
	# A build for tools isn't confined as those that are shipped: it opens the new file by itself.
	if [ -z "${ESCROWFS_ASAN-}" ]; then
		assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_2"'\n")' "$D/token")" EKEYREJECTED
		grep -q 'send it SIGHUP' "$T/log"
	fi
	reload 'were read again'
	eventually 50 sh -c "echo '$TOKEN_2' >'$D/token'"
	# ... and changed in place it is followed as before
	escrowfs rekey "$S" --retire "$(fingerprint "$T/new.pem")" >"$T/rekey.out"
	assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_1"'\n")' "$D/token")" EKEYREJECTED
	cat "$T/pins" >"$T/pins.pem"
	eventually 50 sh -c "echo '$TOKEN_1' >'$D/token'"
	# a broken one leaves the one before
	mv "$T/pins.pem" "$T/kept.pem"
	echo nonsense >"$T/pins.pem"
	reload 'what the file of recipients said before stays in use'
	mv "$T/kept.pem" "$T/pins.pem"
	echo "$TOKEN_2" >"$D/token"
	# a file that names fewer stops it
	openssl x509 -in "$S.recovery.pem" >"$T/pins.pem"
	reload 'were read again'
	assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_1"'\n")' "$D/token")" EKEYREJECTED
}

@test "systemd is told: RELOADING=1 with the clock, then READY=1, also when it went wrong" {
	run -0 python3 - "$T/notify" "$S.key.pem" "$ESCROWFS" mount -f "$S" "$M" <<'PY'
import os, signal, socket, subprocess, sys, time
address, key, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(address)
listener.settimeout(60)
daemon = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": address})
def message(word):
    while True:
        lines = dict(line.split("=", 1) for line in listener.recv(4096).decode().split("\n") if line)
        if word in lines:
            return lines
message("READY")
def reload():
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.send_signal(signal.SIGHUP)
    told = message("RELOADING")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(told["MONOTONIC_USEC"]) <= after, told
    return message("READY")["STATUS"]
assert "not all" not in reload()
os.rename(key, key + ".away")
assert "not all could be read again" in reload()
os.rename(key + ".away", key)
assert "not all" not in reload()
daemon.send_signal(signal.SIGTERM)
assert daemon.wait(60) == 0, daemon.returncode
PY
}

@test "a terminal that is gone ends what runs in the foreground on it" {
	python3 - "$ESCROWFS" "$S" "$M" <<'PY'
import os, pty, sys, time
program, store, mount = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program, [program, "mount", "-f", store, mount])
said = b""
while b"serving" not in said:
    said += os.read(terminal, 4096)
os.close(terminal)
assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 0
PY
	run ! is_mounted
}

@test "a sealed mount has nothing to read again, and goes on" {
	mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	mkdir "$T/sealed"
	escrowfs mount -o sealed "$S" "$T/sealed"
	pkill -HUP -f "^escrowfs: unmounts $T/sealed\$"
	pkill -HUP -f "escrowfs mount -o sealed $S $T/sealed"
	sleep 0.3
	head -n 1 "$T/sealed/devices/$UDID/token" | grep -q 'BEGIN CMS'
}

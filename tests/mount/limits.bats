#!/usr/bin/env bats
# shellcheck disable=SC2086,SC2153,SC2154 # the helper's words, and bats' own
# Limits: of what one process may hold, and of what the system lets the daemon have. Whatever is short, others are
# served, memory stays bounded, and what is refused says why.

load helper

# The daemon's process number.
daemon() { pgrep -f "escrowfs mount $S $M"; }

# What a process may have open in tokens: an eighth of root's 16 MiB.
TOKENS=$((2 * 1024 * 1024 / 512))

@test "a process that opens tokens and never closes them takes a part of the room, and no more" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	python3 - "$D/token" $TOKENS "$T/go" <<'PY' &
import errno, os, resource, sys, time
path, most, go = sys.argv[1], int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, most + 100))
held = [os.open(path, os.O_RDONLY) for _ in range(most)]
try:
    os.open(path, os.O_RDONLY)
    sys.exit("one more was opened")
except OSError as e:
    assert e.errno == errno.ENOMEM, e
# What is open is read as ever.
assert len({os.pread(fd, 100, 0) for fd in held[::1000]}) == 1
open(go + ".full", "w").close()
while not os.path.exists(go):
    time.sleep(0.05)
os.close(held.pop())
held.append(os.open(path, os.O_RDONLY))
PY
	eventually 3000 test -e "$T/go.full"
	# Others, by any way in.
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	echo "$TOKEN_2" >"$D/token"
	touch "$T/go"
	wait $!
}

@test "messages that are never finished, and replies that are never read, take a part of the room" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	get_token >"$T/get"
	python3 - "$M/checkin" "$T/get" "$T/go" <<'PY' &
import errno, os, resource, sys, time
path, get, go = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3]
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
half = b"<?xml version=\"1.0\"?><plist><dict>" + b" " * 700000
held = []
def until_full(start):
    for n in range(20000):
        fd = os.open(path, os.O_RDWR)
        held.append(fd)
        try:
            start(fd)
        except OSError as e:
            assert e.errno == errno.ENOMEM, e
            # The descriptor says why, and says the same again.
            why = os.read(fd, 1000).decode()
            assert "close some" in why, why
            try:
                os.write(fd, b"x")
                sys.exit("taken after a refusal")
            except OSError as e:
                assert e.errno == errno.ENOMEM, e
            return n
    sys.exit("there is no end to it")
def piecewise(fd):
    for at in range(0, len(half), 65536):
        os.write(fd, half[at:at + 65536])
assert 3 <= until_full(piecewise) <= 6
open(go + ".half", "w").close()
while not os.path.exists(go):
    time.sleep(0.05)
for fd in held:
    try:
        os.close(fd)
        sys.exit("closed on an unfinished message without a word")
    except OSError as e:
        assert e.errno in (errno.EINVAL, errno.ENOMEM), e
held = []
# Each reply is some hundred bytes.
assert 1000 < until_full(lambda fd: os.write(fd, get))
PY
	eventually 1800 test -e "$T/go.half"
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	message Authenticate UDID=C "Padding=$(head -c 100000 /dev/zero | tr '\0' x)" | checkin
	# In pieces, too. (The first one's end is a flush in the middle, which says so.)
	{ { set_token "$TOKEN_2" | head -c 300 2>"$T/err" || :; } && set_token "$TOKEN_2" | tail -c +301; } >"$M/checkin"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	touch "$T/go"
	wait $!
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_2"
}

@test "a thousand open descriptors of each file cost the daemon no descriptor, and little memory" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	local before after
	before=$(find "/proc/$(daemon)/fd" | wc -l)
	python3 - "$M" "$D" <<'PY'
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
mount, device = sys.argv[1:]
names = [device + "/token", device + "/security.json", device + "/bootstrap_status", mount + "/checkin", mount + "/audit",
         mount + "/metrics"]
held = [(name, os.open(name, os.O_RDWR if name.endswith("checkin") else os.O_RDONLY)) for _ in range(1000) for name in names]
for name, fd in held:
    if not name.endswith("checkin"):
        assert os.pread(fd, 100, 0), name
PY
	after=$(find "/proc/$(daemon)/fd" | wc -l)
	[ "$after" -le $((before + 4)) ]
	[ -n "${ESCROWFS_ASAN-}" ] || [ "$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon)/status")" -le $((24 * 1024)) ]
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "/metrics that is opened, and read in part, thousands of times takes no memory; who reads in pieces gets one text" {
	mount_new
	device
	# Its last line to come.
	eventually 50 grep -q '^escrowfs_devices_overdue ' "$M/metrics"
	python3 - "$M/metrics" "$D/token" "/proc/$(daemon)/status" <<'PY'
import errno, os, resource, sys
metrics, token, status = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (12000, 12000))
def size():
    return int(next(line for line in open(status) if line.startswith("VmRSS")).split()[1])
def lines(text):
    return [line.split(" ")[0] for line in text.decode().splitlines()]
whole = open(metrics, "rb", buffering=0).read()
# In pieces, while what it says changes: its lines are those of one text.
fd = os.open(metrics, os.O_RDONLY)
pieces = b""
while piece := os.read(fd, 100):
    pieces += piece
    with open(token, "wb", buffering=0) as file:
        file.write(b"dG9rZW4%d\n" % (len(pieces) % 10))
assert lines(pieces) == lines(whole), pieces
assert b'events_total{action="escrow"} 0\n' in pieces
# From its start again it is a new one.
assert b'events_total{action="escrow"} 0\n' not in os.pread(fd, 1 << 20, 0)
first = os.open(metrics, os.O_RDONLY)
assert os.read(first, 100)
before = size()
held = [os.open(metrics, os.O_RDONLY) for _ in range(10000)]
for fd in held:
    assert os.pread(fd, 100, 0)
grown = size() - before
assert grown < 6 * 1024 or "ESCROWFS_ASAN" in os.environ, grown
# Whose text made way is told to begin again, and can; the last ones go on.
try:
    os.read(first, 100)
    sys.exit("a piece of another text")
except OSError as e:
    assert e.errno == errno.EAGAIN, e
assert lines(os.pread(first, 1 << 20, 0)) == lines(whole)
assert len(os.pread(held[-1], 100, 100)) == 100
# All at once it is read by everybody.
assert lines(open(metrics, "rb", buffering=0).read()) == lines(whole)
PY
	assert_equal "$(tail -c 20 "$M/metrics" | wc -c)" 20
	assert_equal "$(dd if="$M/metrics" bs=512 2>/dev/null | grep -c '^# TYPE')" "$(grep -c '^# TYPE' "$M/metrics")"
}

# Many at a time read and write: clients NUMBER.
clients() {
	seq "$1" | xargs -P "$1" -I{} python3 -c '
import base64, os, sys
path = sys.argv[1] + "/devices/L-" + sys.argv[2]
os.path.isdir(path) or os.mkdir(path)
for n in range(20):
    text = base64.b64encode(os.urandom(192)) + b"\n"
    with open(path + "/token", "wb", buffering=0) as file:
        file.write(text)
    with open(path + "/token", "rb") as file:
        assert file.read() == text
    os.listdir(sys.argv[1] + "/devices")' "$M" {}
}

@test "few descriptors for the daemon: it serves as ever; too few to begin with: it says so" {
	escrowfs init "$S" >"$T/init.out"
	(ulimit -n 40 && escrowfs mount "$S" "$M")
	clients 16
	unmount
	run -1 --separate-stderr bash -c "ulimit -n 8 && exec '$ESCROWFS' mount '$S' '$M'"
	assert_has "$stderr" "$T/"
	run ! mountpoint -q "$M"
	mount_again
	assert_equal "$(find "$M/devices" -mindepth 1 -maxdepth 1 | wc -l)" 16
}

@test "little memory to be locked: a warning that names the limit and the remedy" {
	chmod 777 "$T"
	run -0 --separate-stderr as 12345 prlimit --memlock=65536 "$ESCROWFS" init "$S"
	assert_has "$stderr" 'LimitMEMLOCK'
	run -0 --separate-stderr as 12345 prlimit --memlock=65536 "$ESCROWFS" verify "$S"
}

@test "a small stack and little memory to be locked: a mount serves as ever, and ends well" {
	escrowfs init "$S" >"$T/init.out" 2>&1
	local size sizes=(128 256 8192)
	# (What sanitizers put around each variable takes more.)
	[ -z "${ESCROWFS_ASAN-}${ESCROWFS_TSAN-}" ] || sizes=(8192)
	for size in "${sizes[@]}"; do
		run -0 --separate-stderr prlimit --stack=$((size * 1024)) --memlock=8388608 \
			setpriv --bounding-set=-sys_resource "$ESCROWFS" mount "$S" "$M"
		mkdir -p "$M/devices/$UDID"
		echo "$TOKEN_1" >"$M/devices/$UDID/token"
		assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
		unmount
	done
	run -0 escrowfs verify "$S"
}

# limited KIB SUBCOMMAND...: with a limit on the size of files.
limited() { bash -c 'ulimit -f "$0" && exec "$@"' "$1" "$ESCROWFS" "${@:2}"; }

@test "a limit on the size of files: what needs a larger one is refused as on a full disk, and nothing dies" {
	local kib n=0 errno
	for kib in 0 1 8 40; do
		run -1 limited $kib init "$S"
		assert_has "$output" 'ulimit -f'
		[ ! -e "$S" ]
		[ ! -e "$S.key.pem" ]
	done
	escrowfs init "$S" >"$T/init.out"
	limited 400 mount "$S" "$M"
	local pid
	pid=$(daemon)
	while errno=$(errno_of 'os.mkdir(p); open(p + "/token", "wb", 0).write(b"dG9rZW4=\n")' "$M/devices/D-$n") && [ "$errno" = ok ]; do
		n=$((n + 1))
		[ $n -lt 1000 ]
	done
	assert_equal "$errno" ENOSPC
	[ $n -gt 0 ]
	assert_equal "$(daemon)" "$pid"
	assert_equal "$(status_of "D-$((n - 1))")" escrowed
	unmount
	# What was escrowed is there, and nothing else.
	run -0 escrowfs verify "$S"
	escrowfs status "$S" | grep -q "escrowed  *$n\$"

	for n in $(seq 300); do set_token "$TOKEN_1" "I-$n"; done >"$T/messages"
	run -1 limited 400 import "$S" "$T/messages"
	assert_has "$output" 'ulimit -f'
	run -1 limited 8 rekey "$S"
	assert_has "$output" 'ulimit -f'
	run -0 escrowfs verify "$S"
}

@test "little memory at all: what can't be done is refused, and the rest is done" {
	escrowfs init "$S" >"$T/init.out"
	# A sanitizer's build has all addresses for itself.
	(
		[ -n "${ESCROWFS_ASAN-}${ESCROWFS_TSAN-}" ] || ulimit -v 190000
		escrowfs mount "$S" "$M"
	)
	local pid
	pid=$(daemon)
	clients 32 2>"$T/err" || :
	seq 16 | xargs -P 16 -I{} sh -c "{ cat '$T/init.out'; head -c 900000 /dev/zero | tr '\\0' ' '; } | dd of='$M/checkin' bs=1M" 2>"$T/err" || :
	assert_equal "$(daemon)" "$pid"
	clients 1
	unmount
	run -0 escrowfs verify "$S"
}

@test "clients that signals interrupt all the time get whole answers, and what they wrote is there" {
	mount_new
	device
	python3 - "$D/token" <<'PY'
import base64, os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
for n in range(300):
    text = base64.b64encode(os.urandom(192)) + b"\n"
    # (Python calls again after EINTR, as C programs do with SA_RESTART.)
    fd = os.open(sys.argv[1], os.O_WRONLY)
    os.write(fd, text)
    os.close(fd)
    fd = os.open(sys.argv[1], os.O_RDONLY)
    assert os.read(fd, 4096) == text, n
    os.close(fd)
signal.setitimer(signal.ITIMER_REAL, 0)
PY
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "a daemon that is stopped and goes on, under load, loses nothing" {
	mount_new
	local pid load
	pid=$(daemon)
	clients 8 &
	load=$!
	for _ in $(seq 20); do
		kill -STOP "$pid"
		sleep 0.02
		kill -CONT "$pid"
		sleep 0.02
	done
	wait "$load"
	run -0 escrowfs verify "$S"
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153 # tests are subshells; UDID is a plain word
# The daemon's memory: what was written, read and replied is gone from it, and there is little of it. Not for builds with a
# sanitizer, which keep what was freed: tests/run leaves this file out there.

load helper

# How often the secret, raw or in base64, is in the daemon's memory.
scan() {
	python3 - "$(pgrep -f "escrowfs mount $S $M")" <<'PY'
import base64, re, sys
words = {b"a secret of device"}
for shift in range(3):  # as base64 has it, wherever it starts in a group of three
    text = base64.b64encode(b"\0" * shift + b"a secret of device")
    words.add(text[4 if shift else 0:-4])
pid, found = sys.argv[1], 0
with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as memory:
    for line in maps:
        low, high, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
        if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
            continue
        low, high = int(low, 16), int(high, 16)
        try:
            memory.seek(low)
            data = memory.read(high - low)
        except OSError:
            continue
        for word in words:
            for match in re.finditer(re.escape(word), data):
                found += 1
                print(line.strip(), word, file=sys.stderr)
print(found)
PY
}

@test "after escrows, retrievals and check-ins no token is left in the daemon's memory" {
	mount_new -o threads=3
	for i in $(seq 40); do
		printf 'a secret of device %02d, and of nobody else' "$i" | base64 >"$T/token"
		mkdir "$M/devices/DEVICE-$i"
		case $((i % 4)) in
		0) cat "$T/token" >"$M/devices/DEVICE-$i/token" ;;
		1) set_token "$(cat "$T/token")" "DEVICE-$i" >"$M/devices/DEVICE-$i/token" ;;
		2) set_token "$(cat "$T/token")" "DEVICE-$i" | checkin ;;
		3)
			set_token "$(cat "$T/token")" "DEVICE-$i" >"$T/xml"
			python3 -c 'import plistlib, sys
plistlib.dump(plistlib.load(open(sys.argv[1], "rb")), open(sys.argv[2], "wb"), fmt=plistlib.FMT_BINARY)' "$T/xml" "$T/binary"
			checkin <"$T/binary"
			;;
		esac
		cat "$M/devices/DEVICE-$i/token"
		get_token "DEVICE-$i" | checkin
		echo 'a secret of device, that is no base64' >"$M/devices/DEVICE-$i/token" || :
	done
	assert_equal "$(scan)" 0
	# ... while a descriptor that is open has its own, and no more than that
	exec 4<"$M/devices/DEVICE-1/token"
	assert_equal "$(scan)" 1
	exec 4<&-
	sleep 0.5
	assert_equal "$(scan)" 0
}

daemon() { pgrep -f "escrowfs mount $S $M"; }

# How many of the tokens in $T/tokens (base64, a line each) are in the memory of the daemon and of its keeper: pieces of
# each, raw, and in base64 of either alphabet wherever it starts in a group of three.
count_tokens_in_memory() {
	python3 - "$T" "$(daemon)" "$(pgrep -f "^escrowfs: unmounts $M\$")" <<'PY'
import base64, os, re, signal, sys
directory, *pids = sys.argv[1:]
size = 0
# What is read stands still: a heap may shrink.
for pid in pids:
    os.kill(int(pid), signal.SIGSTOP)
try:
    with open(directory + "/memory", "wb") as out:
        for pid in pids:
            with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
                for line in maps:
                    low, high, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
                    if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                        continue
                    memory.seek(int(low, 16))
                    left = int(high, 16) - int(low, 16)
                    while left:
                        try:
                            data = memory.read(min(left, 1 << 20))
                        except OSError:
                            assert "/" in line, line  # a file's mapping, behind the file's end
                            break
                        left -= len(data)
                        size += len(data)
                        if data.strip(b"\0"):
                            out.write(data)
finally:
    for pid in pids:
        os.kill(int(pid), signal.SIGCONT)
assert size > 16 << 20, size  # the secure heap alone
with open(directory + "/tokens", "rb") as tokens, open(directory + "/pieces", "wb") as pieces, \
        open(directory + "/whose", "w") as whose:
    for number, line in enumerate(tokens):
        token = base64.b64decode(line)
        texts = [(token, 8)]
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + token)[4 if shift else 0:-4]
            texts += [(text, 11), (text.translate(bytes.maketrans(b"+/", b"-_")), 11)]
        for text, length in texts:
            for start in range(0, len(text) - length + 1, length):
                pieces.write(text[start:start + length] + b"\n")
                print(text[start:start + length].hex(), number, file=whose)
PY
	LC_ALL=C grep -aoFf "$T/pieces" "$T/memory" >"$T/found" || [ $? -eq 1 ]
	python3 - "$T" <<'PY'
import sys
whose = dict(line.split() for line in open(sys.argv[1] + "/whose"))
print(len({whose[line.rstrip(b"\n").hex()] for line in open(sys.argv[1] + "/found", "rb")}))
PY
}

@test "a thousand escrows and retrievals later none of the tokens is in the memory of the daemon or its keeper" {
	mount_new -o threads=3
	# By four clients at a time, in each of the ways that there are. (No byte of a token is one that ends a line.)
	seq 0 3 | xargs -P 4 -I{} python3 -c '
import base64, os, plistlib, random, sys
mount, log, client = sys.argv[1], sys.argv[2], int(sys.argv[3])
secrets = random.SystemRandom()
def message(kind, udid, **more):
    return plistlib.dumps(dict(more, MessageType=kind, UDID=udid), fmt=secrets.choice([plistlib.FMT_XML, plistlib.FMT_BINARY]))
def checkin(text):
    fd = os.open(mount + "/checkin", os.O_RDWR)
    os.write(fd, text)
    reply = os.read(fd, 65536)
    os.close(fd)
    return reply
with open("%s.%d" % (log, client), "wb") as tokens:
    for i in range(250):
        token = bytes(secrets.choice(range(11, 256)) for _ in range(33))
        text = base64.b64encode(token)
        tokens.write(text + b"\n")
        udid = "DEVICE-%d-%d" % (client, i % 50)
        path = "%s/devices/%s/token" % (mount, udid)
        if i % 50 == i or i % 2:
            checkin(message("SetBootstrapToken", udid, BootstrapToken=token))
        else:
            with open(path, "wb", buffering=0) as file:
                file.write(secrets.choice([text + b"\n", message("SetBootstrapToken", udid, BootstrapToken=token)]))
        assert open(path, "rb").read() == text + b"\n"
        if i % 3 == 0:
            assert plistlib.loads(checkin(message("GetBootstrapToken", udid)))["BootstrapToken"] == token
' "$M" "$T/tokens" {}
	cat "$T"/tokens.? >"$T/tokens"
	assert_equal "$(wc -l <"$T/tokens")" 1000
	assert_equal "$(grep -c '"action":"escrow"' "$M/audit")" 1000
	assert_equal "$(count_tokens_in_memory)" 0
	# ... but those in flight: of a descriptor that is open
	exec 4<"$M/devices/DEVICE-1-49/token" 5<"$M/devices/DEVICE-2-49/token"
	assert_equal "$(count_tokens_in_memory)" 2
	exec 4<&- 5<&-
	released() { [ "$(count_tokens_in_memory)" = 0 ]; }
	eventually 50 released
}

# The most that the daemon has had, at least what it has: no more than 24 MiB.
assert_small() {
	local peak
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon)/status")
	[ "$peak" -le $((24 * 1024)) ] || { printf '%s KiB after %s\n' "$peak" "$1" && false; }
}

@test "thousands of devices, listings of all and many clients at a time: the daemon has no more than 24 MiB" {
	"$BATS_TEST_DIRNAME/../bench/devices.py" csv 6000 >"$T/csv"
	escrowfs init "$S" >"$T/init.out"
	escrowfs import "$S" "$T/csv" >"$T/import.out"
	mount_again
	find "$M" >/dev/null
	ls -lR "$M" >/dev/null
	assert_small find
	# Each of 64 clients escrows and retrieves; meanwhile everything is listed.
	for _ in 1 2 3; do find "$M" -size 0 >/dev/null & done
	tail -n +2 "$T/csv" | shuf -n 1920 --random-source="$T/csv" | cut -d , -f 1 | xargs -P 64 -n 30 python3 -c '
import base64, os, sys
for udid in sys.argv[2:]:
    text = base64.b64encode(os.urandom(192)) + b"\n"
    for name in "token", "security.json":
        path = "%s/devices/%s/%s" % (sys.argv[1], udid, name)
        if name == "token":
            with open(path, "wb", buffering=0) as file:
                file.write(text)
        with open(path, "rb") as file:
            assert (file.read() == text) == (name == "token")' "$M"
	wait
	assert_small 'escrows and retrievals'
	# Messages as large as they may be, refused at the end.
	head -c 1000000 /dev/zero | tr '\0' ' ' >"$T/large"
	seq 24 | xargs -P 12 -I{} dd if="$T/large" of="$M/checkin" bs=1M 2>"$T/err" || :
	assert_small 'large messages'
	cat "$M/audit" "$M/metrics" >"$T/out"
	assert_small 'reading the trail'
	unmount
	mount_again -o sealed
	tar -C "$M" -cf - . | wc -c
	assert_small 'a backup'
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153 # tests are subshells; UDID is a plain word
# The daemon's memory: what was written, read and replied is gone from it. Not for builds with a sanitizer, which keep
# what was freed: tests/run leaves this file out there.

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

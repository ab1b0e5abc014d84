#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell of its own, and meant to be
# shellcheck disable=SC2086,SC2153,SC2012 # UDID is a plain word of helper.bash's; names here are plain too
# /checkin: one message, one reply, one descriptor.

load helper

prepare() { mount_new; }

@test "the contract's form, from bash and dash" {
	set_token "$TOKEN_1" | checkin
	get_token >"$T/get"
	assert_equal "$(bash -c "{ cat '$T/get' >&3; cat <&3; } 3<>'$M/checkin'" | reply_token)" "$TOKEN_1"
	assert_equal "$(dash -c "{ cat '$T/get' >&3; cat <&3; } 3<>'$M/checkin'" | reply_token)" "$TOKEN_1"
	assert_equal "$(dash -c "exec 3<>'$M/checkin'; cat '$T/get' >&3; cat <&3" | reply_token)" "$TOKEN_1"
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

@test "python: open(r+b, buffering=0)" {
	set_token "$TOKEN_1" | checkin
	get_token >"$T/get"
	run -0 python3 - "$M/checkin" "$T/get" <<'PY'
import plistlib, sys
with open(sys.argv[1], "r+b", buffering=0) as f:
    f.write(open(sys.argv[2], "rb").read())
    assert plistlib.loads(f.read())["BootstrapToken"] == b"bootstrap token number one"
    assert f.read() == b""
PY
}

@test "GetBootstrapToken with none escrowed: the key is left out; unknown devices too" {
	message Authenticate UDID=$UDID | checkin
	run -0 checkin < <(get_token)
	assert_equal "$(echo "$output" | python3 -c 'import plistlib, sys; print(plistlib.loads(sys.stdin.buffer.read()))')" '{}'
	run -0 checkin < <(get_token UNKNOWN)
	assert_equal "$(echo "$output" | python3 -c 'import plistlib, sys; print(plistlib.loads(sys.stdin.buffer.read()))')" '{}'
	[ ! -e "$M/devices/UNKNOWN" ]
	assert_has "$(trail)" '"action":"retrieve","outcome":"none"'
}

@test "each message of the table, and that it has no reply" {
	assert_equal "$(message Authenticate UDID=$UDID OSVersion=14.1 SerialNumber=S1 | checkin)" ''
	assert_equal "$(message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<false/>' | checkin)" ''
	assert_equal "$(set_token "$TOKEN_1" | checkin)" ''
	assert_equal "$(status_of)" escrowed
	assert_equal "$(results SecurityInfo '<key>FDE_Enabled</key><true/>' | checkin)" ''
	assert_equal "$(results QueryResponses '<key>IsSupervised</key><true/>' | checkin)" ''
	D=$M/devices/$UDID
	assert_equal "$(json_of '["IsEncrypted"]')" True
	assert_equal "$(json_of '["Escrow"]["IsSupervised"]')" True
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 14.1
	assert_equal "$(message CheckOut UDID=$UDID | checkin)" ''
	assert_equal "$(status_of)" unenrolled
	assert_equal "$(message '' Status=Idle UDID=$UDID | checkin)" ''
	assert_equal "$(message '' Status=NotNow UDID=$UDID CommandUUID=C | checkin)" ''
	assert_equal "$(message DeclarativeManagement UDID=$UDID Endpoint=tokens | checkin)" ''
}

@test "Authenticate keeps the token; CheckOut keeps it but the device gets none" {
	set_token "$TOKEN_1" | checkin
	message Authenticate UDID=$UDID | checkin
	assert_equal "$(status_of)" escrowed
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	message CheckOut UDID=$UDID | checkin
	run -0 checkin < <(get_token)
	[[ $output != *BootstrapToken* ]]
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
	message TokenUpdate UDID=$UDID | checkin
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
}

@test "set up anew is stale; EACSPreflight or a new escrow clears it; Authenticate alone doesn't make it" {
	set_token "$TOKEN_1" | checkin
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	assert_equal "$(status_of)" escrowed
	message Authenticate UDID=$UDID | checkin
	assert_equal "$(status_of)" escrowed
	D=$M/devices/$UDID
	assert_has "$(json_of '["Escrow"]')" ReenrolledAt
	assert_has "$(json_of '["Escrow"]["Reasons"]')" Authenticate
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	assert_equal "$(status_of)" stale
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
	results QueryResponses '<key>EACSPreflight</key><string>System is not sealed</string>' | checkin
	assert_equal "$(status_of)" stale
	results QueryResponses '<key>EACSPreflight</key><string>success</string>' | checkin
	assert_equal "$(status_of)" escrowed
	assert_has "$(json_of '["Escrow"]["ProvenAt"]')" T
	message Authenticate UDID=$UDID | checkin
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	assert_equal "$(status_of)" stale
	set_token "$TOKEN_1" | checkin
	assert_equal "$(status_of)" escrowed
}

@test "a device's own escrow is evidence: facts that forbid it are out of date" {
	message Authenticate UDID=$UDID OSVersion=10.14.6 ProductName=iMac14,2 | checkin
	assert_equal "$(status_of)" not_supported
	set_token "$TOKEN_1" | checkin
	assert_equal "$(status_of)" escrowed
	D=$M/devices/$UDID
	assert_has "$(json_of '["Escrow"]["Reasons"]')" SecurityInfo
	assert_has "$(json_of '["Escrow"]["Reasons"]')" OSVersion
	assert_equal "$(get_token | checkin | reply_token)" "$TOKEN_1"
}

@test "user enrolment is refused: EPERM, and a read says why" {
	message SetBootstrapToken EnrollmentID=E-1 "BootstrapToken:=<data>$TOKEN_1</data>" >"$T/m"
	assert_equal "$(errno_of 'os.write(os.open(p, os.O_RDWR), open(sys.argv[3], "rb").read())' "$M/checkin" "$T/m")" EPERM
	[ ! -e "$M/devices/E-1" ]
	message Authenticate EnrollmentID=E-1 | checkin
	assert_equal "$(status_of E-1)" not_eligible
	run -1 bash -c "cat '$T/m' >&3; cat <&3" 3<>"$M/checkin"
	assert_has "$output" 'user enrolment'
}

@test "the user channel does nothing" {
	set_token "$TOKEN_1" | checkin
	local before
	before=$(lines)
	message TokenUpdate UDID=$UDID UserID=U | checkin
	message SetBootstrapToken UDID=$UDID UserID=U "BootstrapToken:=<data>$TOKEN_2</data>" | checkin
	message SetBootstrapToken UDID=$UDID EnrollmentUserID=U "BootstrapToken:=<data>$TOKEN_2</data>" | checkin
	assert_equal "$(message GetBootstrapToken UDID=$UDID UserID=U | checkin)" ''
	assert_equal "$(lines)" "$before"
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

@test "an empty or absent BootstrapToken removes" {
	set_token "$TOKEN_1" | checkin
	set_token '' | checkin
	assert_equal "$(stat -c %s "$M/devices/$UDID/token")" 0
	set_token "$TOKEN_1" | checkin
	message SetBootstrapToken UDID=$UDID | checkin
	assert_equal "$(stat -c %s "$M/devices/$UDID/token")" 0
}

@test "a descriptor that is only written retrieves nothing, nor does a webhook" {
	set_token "$TOKEN_1" | checkin
	get_token >"$T/get"
	cat "$T/get" >"$M/checkin"
	assert_has "$(trail)" '"action":"retrieve","outcome":"none"'
	printf '{"topic":"mdm.GetBootstrapToken","created_at":"2026-01-01T00:00:00Z","checkin_event":{"udid":"%s","raw_payload":"%s"}}' \
		$UDID "$(base64 -w 0 "$T/get")" >"$T/hook"
	assert_equal "$(checkin <"$T/hook")" ''
	assert_has "$(trail)" '"action":"retrieve","outcome":"none"'
}

@test "webhooks of both shapes escrow; their time counts: an older report replaces nothing" {
	hook() { # hook TIME EVENT
		printf '{"topic":"t","event_id":"e","created_at":"%s","%s":{"udid":"x","url_params":null,"raw_payload":"%s"}}' \
			"$1" "$2" "$(base64 -w 0)"
	}
	set_token "$TOKEN_1" | hook 2026-01-01T00:00:00Z checkin_event | checkin
	assert_equal "$(status_of)" escrowed
	D=$M/devices/$UDID
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | hook 2026-02-01T00:00:00Z acknowledge_event | checkin
	results SecurityInfo '<key>FDE_Enabled</key><false/>' | hook 2026-01-15T00:00:00Z acknowledge_event | checkin
	assert_equal "$(json_of '["IsEncrypted"]')" True
	results SecurityInfo '<key>FDE_Enabled</key><false/>' | hook 2026-02-02T00:00:00Z acknowledge_event | checkin
	assert_equal "$(json_of '["IsEncrypted"]')" False
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | hook 0001-01-01T00:00:00Z acknowledge_event | checkin
	assert_equal "$(json_of '["IsEncrypted"]')" True
	printf '{"topic":"t","acknowledge_event":{"status":"Idle"}}' | checkin
}

@test "header lines; Identity is bound, and its change is on the trail" {
	a=$(printf 'a%.0s' $(seq 64)) b=$(printf 'b%.0s' $(seq 64))
	{ printf 'Content-Type: application/x-apple-aspen-mdm\r\nIdentity: %s\r\n\r\n' "$a" && set_token "$TOKEN_1"; } | checkin
	assert_has "$(grep '"identity"' "$M/audit")" "$a"
	{ printf 'Identity: %s\nX-Unknown: y\n\n' "$b" && get_token; } | checkin | reply_token
	assert_has "$(grep '"identity"' "$M/audit" | tail -n 1)" "$b"
	{ printf 'Identity: %s\n\n' "$b" && get_token; } | checkin | reply_token
	assert_equal "$(grep -c '"identity"' "$M/audit")" 2
	run -1 checkin < <(printf 'Identity: nonsense\n\n' && get_token)
	[[ $output != *BootstrapToken\</key* ]]
}

@test "a binary property list" {
	set_token "$TOKEN_1" >"$T/xml"
	python3 -c 'import plistlib, sys
plistlib.dump(plistlib.load(open(sys.argv[1], "rb")), open(sys.argv[2], "wb"), fmt=plistlib.FMT_BINARY)' "$T/xml" "$T/bin"
	cat "$T/bin" >"$M/checkin"
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
	get_token >"$T/xml"
	python3 -c 'import plistlib, sys
plistlib.dump(plistlib.load(open(sys.argv[1], "rb")), open(sys.argv[2], "wb"), fmt=plistlib.FMT_BINARY)' "$T/xml" "$T/bin"
	assert_equal "$(checkin <"$T/bin" | reply_token)" "$TOKEN_1"
}

@test "reading before the message is whole is EINVAL; after a refusal one line says why" {
	assert_equal "$(errno_of 'os.read(os.open(p, os.O_RDWR), 10)' "$M/checkin")" EINVAL
	assert_equal "$(errno_of 'f = os.open(p, os.O_RDWR); os.write(f, b"<plist><dict>"); os.read(f, 10)' "$M/checkin")" EINVAL
	run bash -c "echo nonsense >&3 || :; cat <&3" 3<>"$M/checkin"
	assert_has "$output" 'property list'
	run python3 - "$M/checkin" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
try:
    os.write(f, b"<plist><dict><key>MessageType</key><string>Authenticate</string></dict></plist>")
except OSError:
    pass
print(os.read(f, 4096).decode(), end="")
PY
	assert_equal "${#lines[@]}" 1
	assert_has "$output" UDID
}

@test "after a reply was read, more bytes are refused, and the one line that says why is all there is to read" {
	set_token "$TOKEN_1" | checkin
	get_token >"$T/get"
	run -0 python3 - "$M/checkin" "$T/get" <<'PY'
import errno, os, plistlib, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, open(sys.argv[2], "rb").read())
assert plistlib.loads(os.read(fd, 65536))["BootstrapToken"] == b"bootstrap token number one"
try:
    os.write(fd, b"more")
    sys.exit("more bytes were taken")
except OSError as e:
    assert e.errno == errno.EINVAL, e
said = os.read(fd, 65536)
assert said.endswith(b"\n") and said.count(b"\n") == 1 and said.isascii() and len(said) < 300, said
assert os.read(fd, 65536) == b""
PY
}

@test "one message a descriptor, 1 MiB at most" {
	message Authenticate UDID=A >"$T/a"
	message Authenticate UDID=B >"$T/b"
	assert_equal "$(errno_of 'f = os.open(p, os.O_WRONLY); [os.write(f, open(x, "rb").read()) for x in sys.argv[3:5]]' "$M/checkin" "$T/a" "$T/b")" EINVAL
	[ ! -e "$M/devices/B" ]
	{ printf '<plist><dict><key>Padding</key><string>' && head -c 1048577 /dev/zero | tr '\0' x; } >"$T/big"
	run -1 dd if="$T/big" of="$M/checkin" bs=64K
	assert_has "$output" 'File too large'
	message Authenticate UDID=C "Padding=$(head -c 100000 /dev/zero | tr '\0' x)" | checkin
	[ -e "$M/devices/C" ]
}

@test "hostile property lists are refused quickly, and the mount goes on" {
	python3 - "$T" <<'PY'
import sys, struct
t = sys.argv[1]
open(t + "/deep", "wb").write(b"<plist>" + b"<array>" * 60000 + b"</array>" * 60000 + b"</plist>")
open(t + "/entity", "wb").write(b'<!DOCTYPE plist [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><plist><dict><key>UDID</key><string>&b;</string></dict></plist>')
open(t + "/system", "wb").write(b'<!DOCTYPE plist SYSTEM "file:///etc/passwd"><plist><dict/></plist>')
# 24 arrays, each with the next one twice: 2^24 nodes when expanded
objects = [bytes([0xa2, i + 1, i + 1]) for i in range(24)] + [b"\x50"]
def binary(objects, top=0):
    out, offsets = b"bplist00", []
    for o in objects:
        offsets.append(len(out))
        out += o
    table = len(out)
    out += b"".join(struct.pack(">H", o) for o in offsets)
    return out + b"\0" * 6 + bytes([2, 1]) + struct.pack(">QQQ", len(objects), top, table)
open(t + "/bomb", "wb").write(binary(objects))
open(t + "/cycle", "wb").write(binary([bytes([0xa1, 0])]))
open(t + "/range", "wb").write(binary([bytes([0xa1, 9])]))
open(t + "/long", "wb").write(binary([b"\x4f\x13" + b"\x7f" * 8]))
PY
	for m in deep entity system bomb cycle range long; do
		echo "$m"
		assert_equal "$(timeout 10 python3 - "$M/checkin" "$T/$m" <<'PY'
import errno, os, sys
f = os.open(sys.argv[1], os.O_RDWR)
try:
    data = open(sys.argv[2], "rb").read()
    while data:
        data = data[os.write(f, data):]
    print(os.read(f, 100) or "taken")
except OSError as e:
    print(errno.errorcode[e.errno])
PY
		)" EINVAL
	done
	message Authenticate UDID=$UDID | checkin
	[ -e "$M/devices/$UDID" ]
}

@test "UDIDs that are none" {
	for udid in 'a/b' '..' 'a b' "$(printf 'A%.0s' $(seq 65))" 'a&#0;b' ''; do
		message Authenticate "UDID=$udid" >"$T/m"
		assert_equal "$(errno_of 'os.write(os.open(p, os.O_WRONLY), open(sys.argv[3], "rb").read())' "$M/checkin" "$T/m")" EINVAL
	done
	message Authenticate "UDID=$(printf 'A%.0s' $(seq 64))" | checkin
	assert_equal "$(ls "$M/devices" | wc -l)" 1
}

@test "a UDID in other letters is the same device" {
	set_token "$TOKEN_1" | checkin
	assert_equal "$(get_token "${UDID,,}" | checkin | reply_token)" "$TOKEN_1"
	assert_equal "$(ls "$M/devices")" $UDID
}

@test "two hundred at once, side by side" {
	for i in $(seq 200); do
		(
			set_token "$(printf 'token %03d' "$i" | base64)" "DEVICE-$i" >"$T/m.$i"
			cat "$T/m.$i" >"$M/checkin"
			get_token "DEVICE-$i" >"$T/m.$i"
			{ cat "$T/m.$i" >&3 && cat <&3; } 3<>"$M/checkin" >"$T/r.$i"
		) &
	done
	wait
	for i in $(seq 200); do
		assert_equal "$(reply_token <"$T/r.$i" | base64 -d)" "$(printf 'token %03d' "$i")"
	done
	unmount
	escrowfs verify "$S"
}

@test "may write but not read /checkin: messages go in, no token comes out" {
	chmod 0620 "$M/checkin"
	chgrp 4321 "$M/checkin"
	set_token "$TOKEN_1" >"$T/m"
	chmod 644 "$T/m"
	as 1234:4321 bash -c "cat '$T/m' >'$M/checkin'"
	assert_equal "$(status_of)" escrowed
	run -1 as 1234:4321 bash -c "exec 3<>'$M/checkin'"
	run -1 as 1234:4321 cat "$M/checkin"
	assert_has "$(grep '"escrow"' "$M/audit")" '"uid":1234'
}

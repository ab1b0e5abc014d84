#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell of its own, and meant to be
# shellcheck disable=SC2086,SC2153,SC2012,SC2016 # UDID is a plain word of helper.bash's; names here are plain too
# Writing to `token`: every form, where a message ends, what is refused and stays refused.

load helper

prepare() { mount_new && device; }

@test "bash and dash: echo escrows, and cat gives the same line back" {
	bash -c "echo $TOKEN_1 >'$D/token'"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	dash -c "echo $TOKEN_2 >'$D/token'"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	assert_equal "$(status_of)" escrowed
}

@test "what you read you can write back" {
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token" >"$T/copy"
	cat "$T/copy" >"$D/token"
	cp "$T/copy" "$D/token"
	dd if="$T/copy" of="$D/token" bs=7 2>/dev/null
	tee "$D/token" <"$T/copy" >/dev/null
	cmp "$T/copy" "$D/token"
	assert_has "$(trail 2)" '"action":"confirm"'
	assert_equal "$(json_of '["Escrow"]["Versions"].__len__()')" 1
}

@test "base64 in lines, in one write" {
	head -c 300 /dev/urandom >"$T/raw"
	base64 -w 64 "$T/raw" >"$D/token"
	base64 -d "$D/token" | cmp - "$T/raw"
	assert_equal "$(wc -l <"$D/token")" 1
}

@test "base64 without a newline is whole at close" {
	printf %s "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "base64 in pieces" {
	python3 - "$D/token" "$TOKEN_1" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for c in sys.argv[2]:
    os.write(fd, c.encode())
os.close(fd)
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a property list, XML, in one piece and in many" {
	set_token "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	set_token "$TOKEN_2" | dd of="$D/token" bs=5 2>/dev/null
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	message SetBootstrapToken "BootstrapToken:=<data>$TOKEN_1</data>" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a property list, binary" {
	set_token "$TOKEN_1" | python3 -c 'import plistlib, sys
sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_BINARY))' >"$T/binary"
	cp "$T/binary" "$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "CRLF, a byte order mark, no XML declaration, DOCTYPE over two lines" {
	set_token "$TOKEN_1" | sed 's/$/\r/' >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	{ printf '\xef\xbb\xbf' && set_token "$TOKEN_2"; } >"$T/bom" && cat "$T/bom" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	set_token "$TOKEN_1" | sed 1d >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	set_token "$TOKEN_2" | sed 's/" "http/"\n\t"http/' >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "a sealed token in PEM, from a sealed mount" {
	echo "$TOKEN_1" >"$D/token"
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	cp "$T/sealed/devices/$UDID/token" "$T/pem"
	echo "$TOKEN_2" >"$D/token"
	cat "$T/pem" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	# ... not one of another device, and not a damaged one
	mkdir "$M/devices/OTHER"
	run -1 cp "$T/pem" "$M/devices/OTHER/token"
	assert_has "$(trail)" "device $UDID's"
	assert_equal "$(status_of OTHER)" not_escrowed
	sed '5s/^....../AAAAAA/' "$T/pem" >"$T/bad"
	assert_equal "$(errno_of 'os.write(os.open(p, os.O_WRONLY), open(sys.argv[3], "rb").read())' "$D/token" "$T/bad")" EINVAL
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "an absent or empty BootstrapToken removes, and so does truncate -s 0" {
	for remove in "set_token ''" "message SetBootstrapToken UDID=$UDID"; do
		echo "$TOKEN_1" >"$D/token"
		eval "$remove" >"$D/token"
		assert_equal "$(stat -c %s "$D/token")" 0
		assert_has "$(trail)" '"action":"remove"'
	done
	echo "$TOKEN_2" >"$D/token"
	truncate -s 0 "$D/token"
	assert_equal "$(stat -c %s "$D/token")" 0
	assert_equal "$(status_of)" not_escrowed
	truncate -s 0 "$D/token"
}

@test "a generator that fails leaves the token: O_TRUNC alone changes nothing" {
	echo "$TOKEN_1" >"$D/token"
	bash -c "false >'$D/token'" || :
	: >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "an empty variable is no removal" {
	echo "$TOKEN_1" >"$D/token"
	run -1 bash -c "echo '' >'$D/token'"
	assert_has "$output" 'Invalid argument'
	assert_has "$(trail)" 'truncate -s 0'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "bad base64 is refused by the write that completes it, and nothing changes" {
	echo "$TOKEN_1" >"$D/token"
	for bad in 'Zg' 'Zg=' 'Z' 'Zh==' 'Zg==Zg==' 'Zm9v!' 'Zm-_' '=Zm9'; do
		run -1 bash -c "echo '$bad' >'$D/token'"
		assert_has "$output" 'Invalid argument'
	done
	run -1 bash -c "printf 'Zm\n9v\n' >'$D/token'"
	for bad in 'Zg' 'Zm9v!!!!'; do
		run -1 bash -c "set_token() { :; }; printf '%s' '<plist><dict><key>MessageType</key><string>SetBootstrapToken</string><key>BootstrapToken</key><data>$bad</data></dict></plist>' >'$D/token'"
	done
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "BootstrapToken as a string, twice, or of another message is refused" {
	echo "$TOKEN_1" >"$D/token"
	for plist in "$(message SetBootstrapToken BootstrapToken="$TOKEN_2")" \
		"$(message SetBootstrapToken "BootstrapToken:=<data>$TOKEN_2</data>" "BootstrapToken:=<data>$TOKEN_1</data>")" \
		"$(get_token)" "$(message SetBootstrapToken UDID=$UDID UserID=U "BootstrapToken:=<data>$TOKEN_2</data>")"; do
		run -1 bash -c 'printf "%s\n" "$1" >"$2"' - "$plist" "$D/token"
	done
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a FileVault recovery key is refused by name" {
	run -1 bash -c "echo ABCD-EFGH-JKLM-NPQR-STUV-WXY2 >'$D/token'"
	assert_has "$(trail)" 'Recovery Key'
	run -1 bash -c "printf %s \"\$1\" >'$D/token'" - "$(set_token "$(printf ABCD-EFGH-JKLM-NPQR-STUV-WXY2 | base64)")"
	assert_has "$(trail)" 'Recovery Key'
	run -1 grep -c WXY2 "$M/audit"
	assert_equal "$(status_of)" not_escrowed
}

@test "another device's UDID is refused; its own in other letters is taken" {
	run -1 bash -c 'printf "%s\n" "$1" >"$2"' - "$(set_token "$TOKEN_1" OTHER)" "$D/token"
	assert_has "$(trail)" OTHER
	set_token "$TOKEN_1" "${UDID,,}" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "white space after a whole message is accepted, more is not, and is undone" {
	echo "$TOKEN_1" >"$D/token"
	python3 - "$D/token" "$TOKEN_2" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, (sys.argv[2] + "\n").encode())
os.write(fd, b"\n \t\r\n")
os.close(fd)
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	python3 - "$D/token" "$TOKEN_1" <<'PY'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, (sys.argv[2] + "\n").encode())
for attempt in range(3):
    try:
        os.write(fd, b"more\n")
        sys.exit("taken")
    except OSError as e:
        assert e.errno == errno.EINVAL, e
try:
    os.close(fd)
    sys.exit("closed well")
except OSError as e:
    assert e.errno == errno.EINVAL, e
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	assert_has "$(grep '"undo"' "$M/audit")" '"version":3'
	assert_equal "$(json_of '["Escrow"]["Versions"][2]["Ended"]')" undone
}

@test "what was escrowed since is not undone by somebody else's extra bytes" {
	exec 4>"$D/token"
	echo "$TOKEN_1" >&4
	echo "$TOKEN_2" >"$D/token"
	run -1 bash -c 'echo more >&4'
	exec 4>&- || :
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "what is refused stays refused" {
	python3 - "$D/token" "$TOKEN_1" <<'PY'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for data in (b"!!!!\n", (sys.argv[2] + "\n").encode()):
    try:
        os.write(fd, data)
        sys.exit("taken")
    except OSError as e:
        assert e.errno == errno.EINVAL, e
try:
    os.close(fd)
    sys.exit("closed well")
except OSError as e:
    assert e.errno == errno.EINVAL, e
PY
	assert_equal "$(status_of)" not_escrowed
}

@test "an unfinished message changes nothing, and close says so" {
	echo "$TOKEN_1" >"$D/token"
	set_token "$TOKEN_2" | head -c 200 >"$T/half"
	run -1 cp "$T/half" "$D/token"
	assert_has "$output" 'Invalid argument'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_has "$(grep refuse "$M/audit")" 'unfinished'
}

@test "a flush before anything is written does nothing; one in the middle goes on gathering" {
	set_token "$TOKEN_1" >"$T/xml"
	{
		true
		head -c 100 "$T/xml" || : # its own close(2) is told that the message isn't whole
		tail -c +101 "$T/xml"
	} >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	python3 - "$D/token" "$T/xml" <<'PY'
import errno, os, sys
xml = open(sys.argv[2], "rb").read()
fd = os.open(sys.argv[1], os.O_WRONLY)
os.close(os.dup(fd))
os.write(fd, xml[:100])
try:
    os.close(os.dup(fd))
    sys.exit("flushed well in the middle")
except OSError as e:
    assert e.errno == errno.EINVAL, e
os.write(fd, xml[100:])
os.close(fd)
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "forms that end at close: every flush counts as one, and bytes behind it undo it" {
	echo "$TOKEN_1" >"$D/token"
	set_token "$TOKEN_2" | python3 -c 'import plistlib, sys
sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_BINARY))' >"$T/binary"
	printf %s "$TOKEN_2" >"$T/text"
	for form in text binary; do
		python3 - "$D/token" "$T/$form" "$TOKEN_1" "$TOKEN_2" <<'PY'
import errno, os, sys
path, message, before, after = sys.argv[1], open(sys.argv[2], "rb").read(), *sys.argv[3:]
def token():
    with open(path) as f:
        return f.read().strip()
fd = os.open(path, os.O_WRONLY)
os.write(fd, message)
assert token() == before
os.close(os.dup(fd))
assert token() == after
os.close(os.dup(fd))
try:
    os.write(fd, b"more")
    sys.exit("taken")
except OSError as e:
    assert e.errno == errno.EINVAL, e
assert token() == before
PY
	done
	assert_equal "$(grep -c '"undo"' "$M/audit")" 2
}

@test "offsets, O_APPEND, ftruncate" {
	assert_equal "$(errno_of 'os.pwrite(os.open(p, os.O_WRONLY), b"YWFh\n", 3)' "$D/token")" EINVAL
	assert_equal "$(errno_of 'os.open(p, os.O_WRONLY | os.O_APPEND)' "$D/token")" EINVAL
	run -1 bash -c "echo $TOKEN_1 >>'$D/token'"
	python3 - "$D/token" "$TOKEN_1" <<'PY'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
n = os.write(fd, (sys.argv[2] + "\n").encode())
os.ftruncate(fd, n)
for wrong in (0, 3, n + 1):
    try:
        os.ftruncate(fd, wrong)
        sys.exit("truncated to %d" % wrong)
    except OSError as e:
        assert e.errno == errno.EINVAL, e
os.close(fd)
PY
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	assert_equal "$(errno_of 'os.truncate(p, 5)' "$D/token")" EINVAL
	assert_equal "$(errno_of 'os.truncate(p, 500)' "$D/token")" EINVAL
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "64 KiB and no more" {
	head -c 49149 /dev/urandom >"$T/raw" # 65532 characters
	base64 -w 0 "$T/raw" >"$T/text"
	cp "$T/text" "$D/token"
	base64 -d "$D/token" | cmp - "$T/raw"
	head -c 49155 /dev/urandom | base64 -w 0 >"$T/more"
	assert_equal "$(errno_of 'f = os.open(p, os.O_WRONLY); os.write(f, open(sys.argv[3], "rb").read())' "$D/token" "$T/more")" EFBIG
	run -1 dd if="$T/more" of="$D/token" bs=1000
	assert_has "$output" 'File too large'
	base64 -d "$D/token" | cmp - "$T/raw"
}

@test "the same token is a confirmation, an older one a replay, both on the trail" {
	echo "$TOKEN_1" >"$D/token"
	local first
	first=$(json_of '["Escrow"]["EscrowedAt"]')
	echo "$TOKEN_1" >"$D/token"
	assert_has "$(trail)" '"action":"confirm"'
	[ "$first" != "$(json_of '["Escrow"]["EscrowedAt"]')" ]
	assert_equal "$(json_of '["Escrow"]["Versions"].__len__()')" 1
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	assert_has "$(trail)" 'replay'
	assert_equal "$(json_of '["Escrow"]["Versions"].__len__()')" 3
	assert_equal "$(json_of '["Escrow"]["Versions"][0]["Ended"]')" replaced
}

@test "by hand EPERM while known facts forbid it; the person can bring the facts up to date" {
	echo '{"OSVersion": "10.14.6"}' >"$D/security.json"
	run -1 bash -c "echo $TOKEN_1 >'$D/token'"
	assert_has "$output" 'Operation not permitted'
	assert_has "$(trail)" 'need macOS 10.15'
	echo '{"OSVersion": "14.1", "UserApprovedEnrollment": false, "EnrolledViaDEP": false}' >"$D/security.json"
	run -1 bash -c "echo $TOKEN_1 >'$D/token'"
	assert_has "$(trail)" 'approves the enrolment'
	echo '{"UserApprovedEnrollment": true}' >"$D/security.json"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(status_of)" escrowed
}

@test "sixteen writers to one file: whole tokens only, every version on the trail" {
	for i in $(seq 16); do
		(printf 'token of writer %02d' "$i" | base64 >"$D/token") &
	done
	wait
	assert_has "$(base64 -d "$D/token")" 'token of writer '
	assert_equal "$(grep -c '"action":"escrow"' "$M/audit")" 16
	unmount
	escrowfs verify "$S"
}

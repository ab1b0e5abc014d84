#!/usr/bin/env bats
# shellcheck disable=SC2013,SC2030,SC2031,SC2034,SC2046,SC2086,SC2094,SC2153 # tests are subshells; UDID and paths are plain words
# PUT /checkin: Macs' own check-ins, by nginx and fcgiwrap into a mounted escrow. All of them real, with the configuration
# of examples/nginx.

load helper
load http

serve_checkins() { # serve_checkins [MOUNT-OPTION...]
	mount_new "$@"
	serve
	let_in
}

# sends MAC TOKEN, asks MAC: what a Mac with that certificate does; prints the status.
sends() { set_token "$2" | put "$1"; }
asks() { get_token | put "$1"; }

@test "a Mac enrols, escrows, and gets its token back" {
	serve_checkins
	assert_equal "$(message Authenticate UDID=$UDID OSVersion=14.1 SerialNumber=S1 | put mac-a)" 200
	[ ! -s "$T/$ANSWER" ]
	assert_equal "$(message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<false/>' | put mac-a)" 200
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(python3 -c 'import plistlib, sys; print(plistlib.load(open(sys.argv[1], "rb")))' "$T/$ANSWER")" '{}'
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	[ ! -s "$T/$ANSWER" ]
	grep -qi '^cache-control: no-store' "$T/$ANSWER.head"
	assert_equal "$(status_of)" escrowed
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(reply_token <"$T/$ANSWER")" "$TOKEN_1"
	grep -qi '^content-type: application/xml' "$T/$ANSWER.head"
	grep -qi "^content-length: $(stat -c %s "$T/$ANSWER")" "$T/$ANSWER.head"
	assert_equal "$(grep -ci '^cache-control: no-store' "$T/$ANSWER.head")" 1
	# The longest token that there may be: it goes through all buffers.
	head -c 49152 /dev/urandom | base64 -w 0 >"$T/longest"
	assert_equal "$(set_token "$(cat "$T/longest")" | put mac-a)" 200
	assert_equal "$(asks mac-a)" 200
	reply_token <"$T/$ANSWER" | tr -d '\n' | cmp - "$T/longest"
	# What it answers to a command, where ServerURL is the same.
	assert_equal "$(results SecurityInfo '<key>FDE_Enabled</key><true/>' | put mac-a -H 'Content-Type: application/x-apple-aspen-mdm')" 200
	D=$M/devices/$UDID
	assert_equal "$(json_of '["IsEncrypted"]')" True
	assert_equal "$(message '' Status=Idle UDID=$UDID | put mac-a)" 200
	assert_equal "$(message CheckOut UDID=$UDID | put mac-a)" 200
	assert_equal "$(status_of)" unenrolled
	# The trail has who it was.
	assert_has "$(grep '"retrieve"' "$M/audit" | tail -n 1)" '"command":"escrowfs-cgi"'
	assert_has "$(grep '"retrieve"' "$M/audit" | tail -n 1)" "\"uid\":$CHECKIN_USER"
	assert_has "$(grep '"identity"' "$M/audit")" "bound to client certificate $(fingerprint mac-a)"
	unmount
	escrowfs verify "$S"
}

# By a name that nginx doesn't serve, or without any, the certificate was verified by its default server, which may have
# another authority.
@test "who doesn't name the server when the connection is made: 421, whatever the request says" {
	serve_checkins
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	get_token >"$T/get"
	for named in 127.0.0.1 other.example.com; do
		assert_equal "$(web "$named" /checkin -k -T "$T/get" $(as_cert admin) -H 'Host: mdm.example.com')" 421
		without BootstrapToken
	done
	assert_equal "$(asks mac-a)" 200
}

@test "a Mac that comes with another certificate than its own: 403 where identity=strict" {
	serve_checkins -o identity=strict
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	assert_equal "$(asks mac-b)" 403
	without '<key>'
	assert_has "$(cat "$T/$ANSWER")" 'another client certificate'
	assert_has "$(cat "$T/$ANSWER.head")" 'text/plain'
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(reply_token <"$T/$ANSWER")" "$TOKEN_1"
	run -0 escrowfs accept "$S" $UDID "$(fingerprint mac-b)"
	assert_equal "$(asks mac-b)" 200
	assert_equal "$(asks mac-a)" 403
	# It says who it is, and nobody else does: header lines of its own are no header lines.
	assert_equal "$({ printf 'Identity: %s\n\n' "$(fingerprint mac-b)" && get_token; } | put mac-a)" 400
	assert_equal "$(get_token | put mac-a -H "Identity: $(fingerprint mac-b)" -H "ESCROWFS_CLIENT_CERT: x" -H 'X-Hmac-Signature: x')" 403
	# When it escrows itself, that is the device's own.
	assert_equal "$(sends mac-a "$TOKEN_2")" 200
	assert_equal "$(asks mac-b)" 403
	assert_equal "$(asks mac-a)" 200
}

@test "no certificate, or one of another authority, or a wrong method: 403 and 405, never 401" {
	serve_checkins
	sends mac-a "$TOKEN_1"
	local before
	before=$(lines)
	assert_equal "$(get_token | web mdm.example.com /checkin -X PUT --data-binary @-)" 403
	assert_equal "$(asks thief)" 403
	assert_equal "$(asks admin)" 403
	assert_equal "$(get_token | put mac-a -X POST)" 405
	assert_equal "$(web mdm.example.com /checkin $(as_cert mac-a))" 405
	assert_equal "$(web mdm.example.com / $(as_cert mac-a))" 404
	assert_equal "$(lines)" "$before"
	# What is behind it lets nobody in either who wasn't verified.
	run as $CHECKIN_USER env -i REQUEST_METHOD=PUT CONTENT_LENGTH=1 ESCROWFS_CHECKIN="$M/checkin" ESCROWFS_CLIENT_VERIFY=NONE "$CGI" <<<x
	assert_has "$output" 'Status: 403'
}

# To binary: a property list on standard input.
binary() { python3 -c 'import plistlib, sys
sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_BINARY))'; }

@test "a binary property list, whole and not" {
	serve_checkins
	assert_equal "$(set_token "$TOKEN_1" | binary | put mac-a)" 200
	assert_equal "$(get_token | binary | put mac-a)" 200
	assert_equal "$(reply_token <"$T/$ANSWER")" "$TOKEN_1"
	# What is none becomes known when it is read: the answer is no reply, though there is something to read.
	assert_equal "$(set_token "$TOKEN_2" | binary | head -c -1 | put mac-a)" 400
	assert_has "$(cat "$T/$ANSWER.head")" text/plain
	assert_equal "$(printf 'bplist00 and no more than this' | put mac-a)" 400
	assert_equal "$(wc -l <"$T/$ANSWER")" 1
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

@test "what is wrong with a message is a 4xx with the reason" {
	serve_checkins
	assert_equal "$(echo nonsense | put mac-a)" 400
	assert_equal "$(message Authenticate | put mac-a)" 400
	assert_has "$(cat "$T/$ANSWER")" UDID
	assert_equal "$(set_token 'not base64' | put mac-a)" 400
	assert_equal "$(set_token "$TOKEN_1" | head -c -10 | put mac-a)" 400
	assert_has "$(cat "$T/$ANSWER")" "isn't whole"
	assert_equal "$(put mac-a </dev/null)" 400
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | put mac-a)" 400
	assert_equal "$({ set_token "$TOKEN_1" && set_token "$TOKEN_2"; } | put mac-a)" 400
	[ ! -e "$M/devices/$UDID" ]
	# The prerequisites forbid it.
	assert_equal "$(message SetBootstrapToken EnrollmentID=E-1 "BootstrapToken:=<data>$TOKEN_1</data>" | put mac-a)" 403
	assert_has "$(cat "$T/$ANSWER")" 'user enrolment'
	# 1 MiB, and not a byte more.
	padded() { message Authenticate UDID=P "Padding=$(head -c "$1" /dev/zero | tr '\0' x)"; }
	assert_equal "$(padded 1048000 | put mac-a)" 200
	assert_equal "$(padded 1048576 | put mac-a)" 413
	assert_equal "$(padded 1048576 | put mac-a -H 'Transfer-Encoding: chunked')" 413
	assert_equal "$(padded 3000000 | put mac-a)" 413
	[ -e "$M/devices/P" ]
	# In chunks, as clients send what they don't know the length of.
	assert_equal "$(set_token "$TOKEN_1" | put mac-a -H 'Transfer-Encoding: chunked')" 200
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

@test "without the key, with a damaged seal, past the limit, on a full disk: an error, and no empty 200" {
	mkdir "$T/disk"
	mount -t tmpfs -o size=48m,mode=0755 tmpfs "$T/disk"
	S=$T/disk/store
	serve_checkins
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	unmount
	mv "$S.key.pem" "$T/away.pem"
	mount_again
	assert_equal "$(asks mac-a)" 503
	without plist
	grep -qi '^retry-after:' "$T/$ANSWER.head"
	assert_equal "$(sends mac-a "$TOKEN_2")" 200
	unmount
	mv "$T/away.pem" "$S.key.pem"
	mount_again -o max-retrievals=1/h
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(asks mac-a)" 503
	unmount

	mount_again
	dd if=/dev/zero of="$T/disk/fill" bs=64k 2>"$T/dd" || :
	assert_equal "$(sends mac-a "$TOKEN_1")" 503
	# A login goes on.
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(reply_token <"$T/$ANSWER")" "$TOKEN_2"
	rm "$T/disk/fill"
	unmount
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = zeroblob(length(blob))"
	mount_again
	assert_equal "$(asks mac-a)" 500
	without plist
	unmount
}

# The file of recipients, or who slipped one into the store, is an administrator's to see to: a Mac comes again.
@test "recipients that aren't those of recipients=FILE: 503, and taken once they are" {
	escrowfs init "$S" >"$T/init.out"
	openssl x509 -in "$S.key.pem" >"$T/one.pem"
	{ cat "$T/one.pem" && openssl x509 -in "$S.recovery.pem"; } >"$T/pins.pem"
	mount_again -o "recipients=$T/pins.pem"
	serve
	let_in
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	escrowfs rekey "$S" --retire "$(fingerprint_of "$S.recovery.pem")" >"$T/rekey.out"
	assert_equal "$(sends mac-a "$TOKEN_2")" 503
	grep -qi '^retry-after:' "$T/$ANSWER.head"
	without "$T"
	# Why is for those who run it.
	assert_has "$(trail)" "its recipients aren't those in $T/pins.pem"
	assert_has "$(cat "$T/run/checkin.log")" "its recipients aren't those in $T/pins.pem"
	assert_equal "$(asks mac-a)" 200
	assert_equal "$(reply_token <"$T/$ANSWER")" "$TOKEN_1"
	cat "$T/one.pem" >"$T/pins.pem"
	assert_equal "$(sends mac-a "$TOKEN_2")" 200
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_2"
}

@test "an escrow that isn't mounted: 503, and what lies in its place isn't written to" {
	serve_checkins
	unmount
	assert_equal "$(sends mac-a "$TOKEN_1")" 503
	touch "$M/checkin"
	chmod 0666 "$M/checkin"
	assert_equal "$(sends mac-a "$TOKEN_1")" 503
	assert_equal "$(stat -c %s "$M/checkin")" 0
	assert_has "$(cat "$T/run/checkin.log")" "isn't in a mounted escrow"
	rm "$M/checkin"
	mount_again
	assert_equal "$(sends mac-a "$TOKEN_1")" 200
	# A right that was taken away is no reason to tell a Mac anything else.
	setfacl -b "$M/checkin"
	assert_equal "$(asks mac-a)" 503
	assert_has "$(cat "$T/run/checkin.log")" "user $CHECKIN_USER may not open it"
}

slow() { python3 "$BATS_TEST_DIRNAME/slow_clients.py" "$PORT" "$CERTS/web-ca.pem" "$CERTS/mac-a.pem" "$CERTS/mac-a.key" "$@"; }

@test "slow clients: what trickles in is taken, what is cut short is not, and nobody waits for them" {
	serve_checkins
	assert_equal "$(slow trickle TRICKLE "$TOKEN_1")" 200
	assert_equal "$(cat "$M/devices/TRICKLE/token")" "$TOKEN_1"
	slow cut CUT "$TOKEN_1"
	assert_has '408 closed' "$(slow silent SILENT "$TOKEN_1")"
	assert_has '413 closed' "$(slow endless ENDLESS)"
	for device in CUT SILENT ENDLESS; do [ ! -e "$M/devices/$device" ]; done
	# The program itself, where a server passes on what it has.
	run as $CHECKIN_USER env -i REQUEST_METHOD=PUT CONTENT_LENGTH=1000 ESCROWFS_CHECKIN="$M/checkin" ESCROWFS_CLIENT_VERIFY=SUCCESS \
		ESCROWFS_CLIENT_CERT="$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(open(sys.argv[1]).read()))' "$CERTS/mac-a.pem")" \
		"$CGI" < <(set_token "$TOKEN_1")
	assert_has "$output" 'Status: 400'
	assert_has "$output" 'cut short'
	[ ! -e "$M/devices/$UDID" ]
}

@test "one process behind nginx is enough, whatever twenty slow clients hold open" {
	serve_checkins
	kill -- "-${WRAPPED[0]}"
	rm -r "$T/run/checkin.d" "$T/run/checkin.sock"
	wrap checkin $CHECKIN_USER 1
	mkfifo "$T/go"
	slow hold HELD "$TOKEN_1" <"$T/go" >"$T/held" 3>&- &
	exec 4>"$T/go"
	eventually 200 grep -q held "$T/held"
	for _ in 1 2 3; do assert_equal "$(sends mac-a "$TOKEN_1")" 200; done
	exec 4>&-
	wait $!
	[ ! -e "$M/devices/HELD" ]
}

@test "two hundred at once, each with its own token" {
	serve_checkins
	python3 - "$PORT" "$CERTS" <<'PY'
import http.client, plistlib, ssl, sys, threading
port, certs = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=certs + "/web-ca.pem")
context.load_cert_chain(certs + "/mac-a.pem", certs + "/mac-a.key")
context.check_hostname = False
all_here, wrong = threading.Barrier(200), []

def put(message):
    c = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=300)
    c.request("PUT", "/checkin", plistlib.dumps(message), {"Host": "mdm.example.com"})
    r = c.getresponse()
    return r.status, r.read()

def mac(n):
    try:
        device = {"UDID": f"DEVICE-{n}"}
        all_here.wait()
        assert put({"MessageType": "SetBootstrapToken", "BootstrapToken": b"token %03d" % n, **device}) == (200, b"")
        status, reply = put({"MessageType": "GetBootstrapToken", **device})
        assert status == 200 and plistlib.loads(reply)["BootstrapToken"] == b"token %03d" % n, (status, reply)
    except Exception as e:
        wrong.append((n, e))

# The names are those of the server's certificate by SNI.
http.client.HTTPSConnection.connect = lambda self, connect=http.client.HTTPConnection.connect: (
    connect(self), setattr(self, "sock", context.wrap_socket(self.sock, server_hostname="mdm.example.com")))[0]
threads = [threading.Thread(target=mac, args=(n,)) for n in range(200)]
for t in threads: t.start()
for t in threads: t.join()
assert not wrong, wrong[:3]
PY
	unmount
	escrowfs verify "$S"
}

# ---- what it leaves behind ----

# As fcgiwrap starts it for a Mac: direct LENGTH COMMAND...
direct() {
	local length=$1 certificate
	shift
	certificate=$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(open(sys.argv[1]).read()))' "$CERTS/mac-a.pem")
	env -i PATH="$PATH" ASAN_OPTIONS=detect_leaks=0 REQUEST_METHOD=PUT CONTENT_LENGTH="$length" ESCROWFS_CHECKIN="$M/checkin" \
		ESCROWFS_CLIENT_VERIFY=SUCCESS ESCROWFS_CLIENT_CERT="$certificate" "$@"
}

@test "a token is in no file: not in a log, not in what nginx and fcgiwrap put aside" {
	serve_checkins
	local token secret='a secret of nobody else, and long enough'
	token=$(printf %s "$secret" | base64)
	python3 - "$PORT" "$CERTS" "$UDID" "$secret" <<'PY'
import plistlib, socket, ssl, sys
port, certs, udid, secret = sys.argv[1:]
context = ssl.create_default_context(cafile=certs + "/web-ca.pem")
context.load_cert_chain(certs + "/mac-a.pem", certs + "/mac-a.key")

def put(message, chunk=None):
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="mdm.example.com") as s:
        head = "PUT /checkin HTTP/1.1\r\nHost: mdm.example.com\r\nConnection: close\r\n"
        if chunk:
            pieces = [message[at:at + chunk] for at in range(0, len(message), chunk)]
            message = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
            s.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + message)
        else:
            s.sendall(f"{head}Content-Length: {len(message)}\r\n\r\n".encode() + message)
        said = b""
        while piece := s.recv(65536):
            said += piece
    return said

def plist(kind, **more):
    return plistlib.dumps({"MessageType": kind, "UDID": udid, **more})

big = plist("SetBootstrapToken", BootstrapToken=secret.encode(), Padding="x" * 1000000)
small = plist("SetBootstrapToken", BootstrapToken=secret.encode())
for message, chunk in ((small, None), (small, 7), (big, None), (big, 60000)):
    said = put(message, chunk)
    assert said.startswith(b"HTTP/1.1 200 "), said
said = put(plist("GetBootstrapToken"))
import base64
assert base64.b64encode(secret.encode()) in said.replace(b"\n", b"").replace(b"\t", b""), said
assert put(small[:-9]).startswith(b"HTTP/1.1 400 ")
PY
	unmount # and wait: files that go away under grep are an error of grep's
	run -1 grep -rlaF -e "$token" -e "$secret" "$T" /var/lib/nginx /var/log/nginx
	assert_equal "$output" ''
	# nginx says so when it puts a body or an answer into a file.
	run -1 grep -E 'buffered to a temporary file' "$T/nginx/error.log"
	assert_equal "$(find "$T/run/nginx" "$T/nginx/fastcgi" "$T/nginx/body" -type f)" ''
}

@test "the program opens no file to write to but checkin, and starts nothing; nothing of a message is in an argument or variable" {
	serve_checkins
	set_token "$TOKEN_1" >"$T/set"
	get_token >"$T/get"
	direct "$(stat -c %s "$T/set")" strace -f -v -o "$T/trace" -s 2000 "$CGI" <"$T/set" >"$T/out"
	assert_has "$(cat "$T/out")" 'Status: 200'
	direct "$(stat -c %s "$T/get")" strace -f -o "$T/trace.get" -s 2000 "$CGI" <"$T/get" >"$T/out"
	assert_has "$(cat "$T/out")" BootstrapToken
	for trace in "$T/trace" "$T/trace.get"; do
		assert_equal "$(grep -cE '(open|openat|creat)\(.*(O_WRONLY|O_RDWR|O_CREAT)' "$trace")" 1
		grep -qE "openat\(AT_FDCWD, \"$M/checkin\", O_RDWR" "$trace"
		assert_equal "$(grep -cE 'execve\(|clone|fork\(|socket\(|connect\(|memfd|mmap.*MAP_SHARED, [^-]' "$trace")" 1 # strace's own
		# Message and reply: to the mount and to standard output, nowhere else.
		assert_equal "$(grep -E '(write|pwrite64|writev|sendto|sendmsg)\(' "$trace" | grep -cvE '(write)\((1|'"$(sed -nE "s/.*checkin\", O_RDWR.*= ([0-9]+)/\1/p" "$trace")"'),')" 0
	done
	run -1 grep -F "$TOKEN_1" <(grep execve "$T/trace")
}

@test "the program can't be looked into, makes no core dump, and ends by itself" {
	serve_checkins
	mkfifo "$T/body"
	exec 4<>"$T/body"
	set_token "$TOKEN_1" | head -c 50 >&4
	local pid held
	direct 1000 setpriv --reuid=$CHECKIN_USER --regid=$CHECKIN_USER --clear-groups --inh-caps=-all --bounding-set=-all \
		"$CGI" <"$T/body" >"$T/out" 2>"$T/err" 3>&- 4>&- &
	eventually 100 pgrep -P $! -xf "$CGI"
	pid=$(pgrep -P $! -xf "$CGI")
	eventually 100 grep -q 'Max core file size  *0  *0' "/proc/$pid/limits"
	eventually 100 test "$(stat -c %U "/proc/$pid/environ")" = root
	run -1 as $CHECKIN_USER cat "/proc/$pid/environ"
	# Its alarm is set, and nothing holds it back; half a message is none.
	for held in $(awk '/^Sig(Blk|Ign|Cgt)/ { print $2 }' "/proc/$pid/status"); do [ $((0x$held >> 13 & 1)) -eq 0 ]; done
	kill -ALRM "$pid"
	local ended=0
	wait $! || ended=$?
	assert_equal "$ended" 142
	exec 4>&-
	[ ! -e "$M/devices/$UDID" ]
	direct 1 strace -e trace=alarm -o "$T/trace" "$CGI" <<<x >"$T/out"
	assert_has "$(cat "$T/trace")" 'alarm(30)'
}

@test "the example profile is one that a Mac would take, and says that tokens are welcome" {
	run -0 python3 - "$WEB/enrolment.mobileconfig" <<'PY'
import plistlib, sys, uuid
profile = plistlib.load(open(sys.argv[1], "rb"))
assert profile["PayloadType"] == "Configuration" and profile["PayloadVersion"] == 1
payloads = {p["PayloadType"]: p for p in profile["PayloadContent"]}
mdm, identity = payloads["com.apple.mdm"], payloads["com.apple.security.scep"]
assert "com.apple.mdm.bootstraptoken" in mdm["ServerCapabilities"]
assert mdm["CheckInURL"].startswith("https://") and mdm["CheckInURL"].endswith("/checkin") and mdm["ServerURL"].startswith("https://")
assert mdm["IdentityCertificateUUID"] == identity["PayloadUUID"]
assert mdm["Topic"].startswith("com.apple.mgmt.") and type(mdm["AccessRights"]) is int and mdm["CheckOutWhenRemoved"] is True
everything = [profile, *profile["PayloadContent"]]
assert len({uuid.UUID(p["PayloadUUID"]) for p in everything}) == len({p["PayloadIdentifier"] for p in everything}) == 3
PY
}

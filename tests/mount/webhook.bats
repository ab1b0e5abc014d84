#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2046,SC2086,SC2153 # tests are subshells; UDID and paths are plain words
# POST /webhook, as NanoMDM and MicroMDM post what their devices send: behind nginx and fcgiwrap, with the configuration of
# examples/nginx.

load helper
load http

prepare() {
	mount_new
	serve
	let_in
}

@test "what devices send is escrowed, whichever server tells of it" {
	assert_equal "$(message Authenticate UDID=$UDID OSVersion=14.1 | event 2026-01-01T00:00:00Z checkin_event | post)" 200
	[ ! -s "$T/$ANSWER" ]
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:01:00Z checkin_event | post)" 200
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
	assert_equal "$(results SecurityInfo '<key>FDE_Enabled</key><true/>' | event 2026-01-01T00:02:00Z acknowledge_event | post)" 200
	D=$M/devices/$UDID
	assert_equal "$(json_of '["IsEncrypted"]')" True
	assert_has "$(grep '"escrow"' "$M/audit")" "\"uid\":$WEBHOOK_USER"
	assert_equal "$(post <"$EXAMPLES/messages/34-macos-26-Authenticate-webhook.json")" 200
	[ -e "$M/devices/0E5C0A00-0009-4000-8000-000000000009" ]
	# Events that concern nobody here, and one with something behind it.
	assert_equal "$(printf '{"topic":"mdm.Connect","acknowledge_event":{"status":"Idle"}}' | post)" 200
	assert_equal "$(printf '{"topic":"mdm.Connect","acknowledge_event":{"status":"Idle"}}\n' | post)" 200
}

# What NanoMDM posts of standard input, as it lays it out: nanomdm TIME TOPIC [KEY:VALUE]...
nanomdm() {
	local raw more=
	raw=$(base64 -w 0)
	[ $# -lt 3 ] || more=,$3
	printf '{"checkin_event":{"ids":{"id":"%s","type":"Device"},"raw_payload":"%s"%s,"udid":"%s","url_params":{"a":"b"}},"created_at":"%s","event_id":"0a0b0c0d0e0f0001","topic":"mdm.%s"}' \
		"$UDID" "$raw" "$more" "$UDID" "$1" "$2"
}

# And what MicroMDM does.
micromdm() {
	printf '{\n  "topic": "mdm.%s",\n  "event_id": "01234567-89ab-4cde-8f01-23456789abcd",\n  "created_at": "%s",\n  "checkin_event": {\n    "udid": "%s",\n    "url_params": null,\n    "raw_payload": "%s"\n  }\n}' \
		"$2" "$1" "$UDID" "$(base64 -w 0)"
}

@test "NanoMDM's own form: signed, with ids, the time of its own zone; of two that overtake each other the later one counts" {
	D=$M/devices/$UDID
	assert_equal "$(message TokenUpdate UDID=$UDID | nanomdm 2026-01-01T02:00:01.123456789+02:00 TokenUpdate '"token_update_tally":1' | post)" 200
	assert_equal "$(message Authenticate UDID=$UDID SerialNumber=C02NANO | nanomdm 2026-01-01T02:00:00.9+02:00 Authenticate | post)" 200
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]') $(json_of '["Escrow"]["EnrolledAt"]')" 'C02NANO 2026-01-01T00:00:01.123Z'
	# It posts each from a thread of its own.
	assert_equal "$(set_token "$TOKEN_2" | nanomdm 2026-01-01T03:00:00.5+02:00 SetBootstrapToken | post)" 200
	assert_equal "$(message SetBootstrapToken UDID=$UDID | nanomdm 2026-01-01T03:00:00.4+02:00 SetBootstrapToken | post)" 200
	assert_equal "$(set_token "$TOKEN_1" | nanomdm 2026-01-01T03:00:00.3+02:00 SetBootstrapToken | post)" 200
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	assert_equal "$(status_of)" escrowed
}

@test "MicroMDM doesn't sign: the key is the password in its webhook's URL" {
	local key='a key of the webhook'
	micro() {
		micromdm "$@" >"$T/event"
		web mdm.example.com /webhook --data-binary "@$T/event" -H 'Content-Type: application/json; charset=utf-8' "${AS[@]}"
	}
	AS=(-u "micromdm:$key")
	assert_equal "$(message Authenticate UDID=$UDID | micro 2026-01-01T00:00:00.123456789Z Authenticate)" 200
	assert_equal "$(set_token "$TOKEN_1" | micro 2026-01-01T00:00:01Z SetBootstrapToken)" 200
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
	local wrong before
	before=$(lines)
	for wrong in "$key:" ":$key " "$key:$key " "micromdm:" "micromdm:a key of the webhoo" "micromdm:another key"; do
		AS=(-u "$wrong")
		assert_equal "$(set_token "$TOKEN_2" | micro 2026-01-01T00:00:02Z SetBootstrapToken)" 403
	done
	for wrong in 'Basic' 'Basic !' "Basic $(printf %s "$key" | base64)" "Bearer $(printf %s "x:$key" | base64)" "$key"; do
		AS=(-H "Authorization: $wrong")
		assert_equal "$(set_token "$TOKEN_2" | micro 2026-01-01T00:00:02Z SetBootstrapToken)" 403
	done
	# A signature that is wrong stays wrong.
	AS=(-u "micromdm:$key" -H 'X-Hmac-Signature: x')
	assert_equal "$(set_token "$TOKEN_2" | micro 2026-01-01T00:00:02Z SetBootstrapToken)" 403
	assert_equal "$(lines)" "$before"
}

@test "what isn't signed with the key isn't taken, and nothing of it is written" {
	local before
	set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event >"$T/event"
	before=$(lines)
	unsigned() { web mdm.example.com /webhook --data-binary "@$T/event" "$@"; }
	assert_equal "$(unsigned)" 403
	assert_equal "$(unsigned -H 'X-Hmac-Signature;')" 403
	assert_equal "$(unsigned -H 'X-Hmac-Signature: x')" 403
	assert_equal "$(unsigned -H "X-Hmac-Signature: $(sign 'another key' <"$T/event")")" 403
	assert_equal "$(unsigned -H "X-Hmac-Signature: $(sign 'a key of the webhook' <"$T/event" | base64 -d | od -An -v -tx1 | tr -d ' \n')")" 403
	assert_equal "$(unsigned -H "X-Hmac-Signature: $(sign 'a key of the webhook' <<<other)")" 403
	# Much of it, too: it is read, so that there is an answer, and no more than that.
	assert_equal "$(head -c 500000 /dev/zero | web mdm.example.com /webhook --data-binary @-)" 403
	# With what Macs come with, and no key.
	assert_equal "$(unsigned $(as_cert mac-a))" 403
	assert_equal "$(lines)" "$before"
	[ ! -e "$M/devices/$UDID" ]
	assert_equal "$(unsigned -H "X-Hmac-Signature: $(sign 'a key of the webhook' <"$T/event")")" 200
	[ -e "$M/devices/$UDID" ]
}

# Who has no key may not have a MiB kept for each of any number of connections.
@test "what can't be signed is refused before its body, and one address sends so much at a time" {
	set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event >"$T/event"
	python3 - "$PORT" "$CERTS" "$T/event" "$(sign 'a key of the webhook' <"$T/event")" <<'PY'
import socket, ssl, sys
port, certs, event, signature = sys.argv[1:]
event = open(event, "rb").read()
context = ssl.create_default_context(cafile=certs + "/web-ca.pem")

def start(signature, length):
    c = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), timeout=60), server_hostname="mdm.example.com")
    c.sendall((f"POST /webhook HTTP/1.1\r\nHost: mdm.example.com\r\nConnection: close\r\nContent-Length: {length}\r\n"
               + (f"X-Hmac-Signature: {signature}\r\n" if signature else "") + "\r\n").encode())
    return c

def status(c):
    return c.recv(4096).split(b" ")[1].decode()

# Nothing of the body is sent.
for none in ("", "x", signature[:-1], signature + "=", "sha256=" + signature):
    assert status(start(none, 1000000)) == "403", none
# One may be anybody's until all of it is here; 100 of them, and no more.
held = [start(signature, 1000000) for _ in range(100)]
for c in held:
    c.sendall(event)
assert status(start(signature, 1000000)) == "503"
# ... and the others go on.
for c in held[1:]:
    c.close()
taken = "503"
while taken == "503":
    c = start(signature, len(event))
    c.sendall(event)
    taken = status(c)
assert taken == "200", taken
PY
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

@test "it may write checkin and not read it: no token comes out" {
	set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | post
	assert_equal "$(get_token | event 2026-01-01T00:00:00Z checkin_event | post)" 200
	[ ! -s "$T/$ANSWER" ]
	assert_has "$(trail)" '"action":"retrieve","outcome":"none"'
	assert_has "$(trail)" "\"uid\":$WEBHOOK_USER"
	run -1 as $WEBHOOK_USER cat "$M/checkin"
	run -1 as $WEBHOOK_USER bash -c "exec 3<>'$M/checkin'"
	# That of the Macs needs both.
	as $CHECKIN_USER bash -c "exec 3<>'$M/checkin'"
}

@test "errors: what is wrong with it is a 4xx, what is wrong here a 5xx, and 200 means that it is taken" {
	assert_equal "$(echo '{"topic": ' | post)" 400
	assert_equal "$(set_token "$TOKEN_1" | post)" 400
	assert_equal "$(echo '[]' | post)" 400
	assert_equal "$(set_token 'not base64' | event 2026-01-01T00:00:00Z checkin_event | post)" 400
	assert_equal "$(message SetBootstrapToken EnrollmentID=E-1 "BootstrapToken:=<data>$TOKEN_1</data>" | event 2026-01-01T00:00:00Z checkin_event | post)" 403
	assert_equal "$(web mdm.example.com /webhook)" 405
	assert_equal "$(printf '{}' | post -X PUT)" 405
	assert_equal "$({ printf '{"x":"' && head -c 1100000 /dev/zero | tr '\0' x; } | post)" 413
	[ ! -e "$M/devices/$UDID" ]
	# A key that others may read isn't used.
	chmod 0644 "$T/webhook.key"
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | post)" 503
	assert_has "$(cat "$T/run/webhook.log")" "chmod o= $T/webhook.key"
	chmod 0640 "$T/webhook.key"
	setfacl -b "$M/checkin"
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | post)" 503
	unmount
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | post)" 503
	mount_again
	let_in
	assert_equal "$(set_token "$TOKEN_1" | event 2026-01-01T00:00:00Z checkin_event | post)" 200
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
}

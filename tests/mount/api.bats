#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2046,SC2086,SC2153 # tests are subshells; UDID and paths are plain words
# The MDM API's questions, answered by nginx from a mounted escrow: with real nginx and curl, and the configuration of
# examples/nginx.

load helper
load http

MACOS_14=0E5C0A00-0007-4000-8000-000000000007
IPAD_26=0E5C0A00-0010-4000-8000-000000000010

serve_api() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	serve
	let_in
	D=$M/devices/$MACOS_14
	NUMBER=$(json_of '["Escrow"]["DeviceId"]')
}

# Each of these is what the file says, byte for byte.
assert_answers() { # assert_answers FILE PATH...
	local file=$1 path
	shift
	for path; do
		assert_equal "$path $(api "$path")" "$path 200"
		cmp "$T/$ANSWER" "$file"
	done
}

# An error in the API's own shape.
assert_error() { # assert_error STATUS PATH [OPTION...]
	local status=$1 path=$2
	shift 2
	assert_equal "$path $(api "$path" "$@")" "$path $status"
	python3 - "$T/$ANSWER" "$status" <<'PY' || { cat "$T/$ANSWER"* && false; }
import json, re, sys
j = json.load(open(sys.argv[1]))
assert list(j) == ["errorCode", "message", "activityId"] and j["errorCode"] == int(sys.argv[2]) and len(j["message"]) > 10, j
assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", j["activityId"]), j
PY
	grep -qi '^content-type: application/json' "$T/$ANSWER.head"
	grep -qi '^cache-control: no-store' "$T/$ANSWER.head"
}

@test "by each word, in any case, and by the device's number" {
	serve_api
	local security=/api/mdm/devices/security
	assert_answers "$D/security.json" \
		"$security?searchby=Serialnumber&id=C02EXAMPLE07" "$security?searchby=SERIALNUMBER&id=c02example07" \
		"$security?SearchBy=serialNumber&ID=C02EXAMPLE07" "$security?id=C02EXAMPLE07&searchby=serialnumber" \
		"$security?searchby=Udid&id=$MACOS_14" "$security?searchby=uDID&id=${MACOS_14,,}" \
		"$security?searchby=Macaddress&id=020000E5C007" "$security?searchby=macaddress&id=02:00:00:e5:c0:07" \
		"$security?searchby=MacAddress&id=02%3A00%3a00%3Ae5%3Ac0%3A07" "$security?searchby=MACADDRESS&id=02-00-00-E5-C0-07" \
		"$security?searchby=DeviceId&id=$NUMBER" "$security?searchby=deviceid&id=$NUMBER" \
		"/api/mdm/devices/$NUMBER/security" "/API/MDM/Devices/$NUMBER/Security"
	assert_answers "$M/devices/$IPAD_26/security.json" \
		"$security?searchby=ImeiNumber&id=350000000000106" "$security?searchby=IMEINUMBER&id=35%20000000%20000010%206" \
		"$security?searchby=imeinumber&id=35+000000+000010+6" "$security?searchby=Imeinumber&id=35-000000-000010-6"
	grep -qi '^content-type: application/json' "$T/$ANSWER.head"
	grep -qi '^cache-control: no-store' "$T/$ANSWER.head"
	[ -z "$(grep -iE '^(etag|last-modified|accept-ranges)' "$T/$ANSWER.head")" ]
	# What is written is in the next answer.
	echo '{"OSVersion": "14.9"}' >"$D/security.json"
	assert_answers "$D/security.json" "$security?searchby=DeviceId&id=$NUMBER"
	assert_has "$(cat "$T/$ANSWER")" '"OSVersion": "14.9"'
	assert_equal "$(api "$security?searchby=Serialnumber&id=C02EXAMPLE07" -I)" 200
}

@test "clients in Python, a script's and a generated one" {
	serve_api
	python3 "$BATS_TEST_DIRNAME/api_clients.py" "https://escrow.example.com:$PORT" "$CERTS/web-ca.pem" helpdesk 'a password' \
		C02EXAMPLE07 $MACOS_14 02:00:00:e5:c0:07 "$NUMBER"
}

@test "Accept" {
	serve_api
	local path="/api/mdm/devices/$NUMBER/security" accept
	for accept in 'application/json;version=1' 'application/json; version=1' 'application/json' '*/*' 'application/*' \
		'application/xml, application/json' 'application/xml;q=0.9,*/*;q=0.8' 'APPLICATION/JSON;Version=1' \
		'text/html, application/json;version=1;q=0.5' 'application/json;version=2, application/json;version=1' \
		'application/json;charset=utf-8' 'application/json;q=1.0'; do
		assert_equal "$accept $(api "$path" -H "Accept: $accept")" "$accept 200"
	done
	assert_equal "$(api "$path" -H 'Accept:')" 200
	for accept in application/xml text/xml 'application/xml;version=1' 'text/html, application/xml' 'application/json;version=2' \
		'application/json;q=0' 'application/xml, application/json;q=0.0' application/jsonp x-application/json \
		'application/json;version=11'; do
		assert_error 406 "$path" -H "Accept: $accept"
	done
	assert_error 406 '/api/mdm/devices/security?searchby=Serialnumber&id=C02EXAMPLE07' -H 'Accept: application/xml'
}

@test "errors in its own shape" {
	serve_api
	local security=/api/mdm/devices/security path
	for path in "$security?searchby=Serialnumber&id=NOBODY" "$security?searchby=DeviceId&id=99999" "$security?searchby=DeviceId&id=0$NUMBER" \
		"$security?searchby=Udid&id=C02EXAMPLE07" /api/mdm/devices/99999/security /api/mdm/devices/x/security /api/mdm/devices \
		/api/ / /escrow/404 /escrow/device/serialnumber/C02EXAMPLE07/security.json; do
		assert_error 404 "$path"
	done
	for path in "$security" "$security?id=C02EXAMPLE07" "$security?searchby=&id=C02EXAMPLE07" "$security?searchby=Serial&id=C02EXAMPLE07" \
		"$security?searchby=status&id=escrowed" "$security?searchby=Serialnumber" "$security?searchby=Serialnumber&id=" \
		"$security?searchby=Serialnumber%00&id=C02EXAMPLE07" "$security?searchby=../search&id=serialnumber"; do
		assert_error 422 "$path"
	done
	assert_error 405 "$security?searchby=Serialnumber&id=C02EXAMPLE07" -X POST -d x
	grep -qi '^allow: GET, HEAD' "$T/$ANSWER.head"
	assert_error 405 "/api/mdm/devices/$NUMBER/security" -X DELETE

	assert_error 414 "$security?searchby=Serialnumber&id=$(head -c 9000 /dev/zero | tr '\0' x)"
	assert_error 400 "$security" -H "X-Long: $(head -c 9000 /dev/zero | tr '\0' x)"
	assert_error 421 "$security" -H 'Host: elsewhere.example.com'
	# Nor when the connection was made to no name, where another server may have verified the certificate.
	assert_equal "$(web 127.0.0.1 "/api/mdm/devices/$NUMBER/security" -k -u 'helpdesk:a password' -H 'Host: escrow.example.com')" 421
	assert_has "$(cat "$T/$ANSWER")" '"errorCode":421'

	# The mount's say is the last one: what nginx may not read it doesn't.
	setfacl -x u:www-data "$M/policy/security.json"
	assert_error 403 "/api/mdm/devices/$NUMBER/security"
	let_in
	assert_answers "$D/security.json" "/api/mdm/devices/$NUMBER/security"
	unmount
	assert_error 503 "/api/mdm/devices/$NUMBER/security"
	assert_error 503 "$security?searchby=Serialnumber&id=C02EXAMPLE07"
}

@test "a certificate or a password, and nothing without" {
	serve_api
	local path="/api/mdm/devices/$NUMBER/security" without
	admin() { web escrow.example.com "$@"; }
	assert_equal "$(admin "$path" $(as_cert admin))" 200
	cmp "$T/$ANSWER" "$D/security.json"
	for without in "$path" '/api/mdm/devices/security?searchby=Serialnumber&id=C02EXAMPLE07' /api/mdm/devices/999/security \
		'/api/mdm/devices/security?searchby=Color&id=1' /nowhere; do
		assert_equal "$(admin "$without")" 401
		assert_has "$(cat "$T/$ANSWER")" '"errorCode":401'
		assert_has "$(cat "$T/$ANSWER.head")" 'Basic realm='
		without BootstrapToken
	done
	assert_equal "$(admin "$path" -u 'helpdesk:wrong')" 401
	# Certificates of others: of nobody's authority, and of a Mac.
	assert_equal "$(admin "$path" $(as_cert thief))" 403
	assert_has "$(cat "$T/$ANSWER")" '"errorCode":403'
	assert_equal "$(admin "$path" $(as_cert mac-a) -u 'helpdesk:a password')" 403
	# TLS, and nothing else.
	run curl -sS -o "$T/$ANSWER" -w '%{http_code}' -H 'Host: escrow.example.com' "http://127.0.0.1:$PORT$path"
	assert_equal "$output" 400
	without BootstrapToken
}

@test "no id leads out of its directory, and nothing leads to a token" {
	serve_api
	local id path by
	for id in .. . ../.. ../serialnumber/C02EXAMPLE07 '..%2Fserialnumber%2FC02EXAMPLE07' '%2e%2e' '%2e%2e%2f' 'C02EXAMPLE07/' \
		'C02EXAMPLE07/../C02EXAMPLE07' 'C02EXAMPLE07%2f..%2fC02EXAMPLE07' '/etc/passwd' '%2fetc%2fpasswd' 'C02EXAMPLE07%00' \
		'C02EXAMPLE07%00.json' 'C02EXAMPLE07%0a' 'C02EXAMPLE07/token' 'C02EXAMPLE07/token%00' '..\..\x' '%5c..%5c' 'C02EXAMPLE07?' \
		'$uri' '%24uri' '{"$gt":0}' '*' 'C02EXAMPLE0%3F' "$(printf 'A%.0s' {1..200})" '%c0%ae%c0%ae' '%252e%252e%252f' \
		'C02EXAMPLE07/security.json' '.hidden' '~root' ';ls' '%'; do
		for by in Serialnumber Macaddress DeviceId; do
			assert_equal "$id $(api "/api/mdm/devices/security?searchby=$by&id=$id")" "$id 404"
			assert_has "$(cat "$T/$ANSWER")" '{"errorCode":404,'
		done
	done
	# Of two ids the first one counts.
	assert_equal "$(api '/api/mdm/devices/security?searchby=Serialnumber&id=C02EXAMPLE07&id=../..')" 200
	for path in /api/mdm/devices/../security "/api/mdm/devices/$NUMBER/../$NUMBER/token" "/api/mdm/devices/$NUMBER/token" \
		"/api/mdm/devices/$NUMBER%2f..%2f$NUMBER/token" "/api/mdm/devices/$NUMBER/security/" "/api/mdm/devices/$NUMBER/security/../token" \
		/token /serialnumber/C02EXAMPLE07/token "/../devices/$MACOS_14/token" "/%2e%2e/devices/$MACOS_14/token" \
		"/escrow/device/deviceid/$NUMBER/token" "/escrow/device/../../checkin" /audit /../audit "/api/../deviceid/$NUMBER/token"; do
		[[ $(api "$path") =~ ^40[04]$ ]] || { echo "$path" && false; }
		assert_has "$(cat "$T/$ANSWER")" '{"errorCode":40'
		without 'BootstrapTokenEscrowStatus|"chain"'
	done
	# Nor could nginx open one.
	run -1 as "$(id -u www-data)" cat "$D/token"
	run -2 as "$(id -u www-data)" ls "$M/devices"
	run -1 grep '"action":"retrieve"' "$M/audit"
}

#!/usr/bin/env bats
# shellcheck disable=SC2034,SC2086,SC2119,SC2154 # helpers with defaults
# import: what another MDM kept moves in, with its times; a second time it changes nothing.
load helper

A=AAAAAAAA-0000-4000-8000-000000000001
B=BBBBBBBB-0000-4000-8000-000000000002
C=CCCCCCCC-0000-4000-8000-000000000003

# NanoMDM's file store in $N: A with a token of March 2024; B disabled; C without a token; A's user.
nanomdm() {
	N=$T/nanomdm
	mkdir -p "$N/$A" "$N/$B" "$N/$C" "$N/$A:501"
	for id in "$A" "$B" "$C"; do
		message Authenticate UDID="$id" SerialNumber="C02${id:0:4}" OSVersion=14.1 >"$N/$id/Authenticate.plist"
		message TokenUpdate UDID="$id" AwaitingConfiguration:='<true/>' >"$N/$id/TokenUpdate.plist"
		echo "C02${id:0:4}" >"$N/$id/SerialNumber.txt"
		printf -- '-----BEGIN CERTIFICATE-----\n' >"$N/$id/Identity.pem"
	done
	openssl rand 192 >"$N/$A/BootstrapToken.dat"
	openssl rand 192 >"$N/$B/BootstrapToken.dat"
	touch "$N/$B/Disabled"
	message TokenUpdate UDID="$A" UserID=501 >"$N/$A:501/TokenUpdate.plist"
	# What NanoMDM keeps beside them.
	echo "$A,$(printf x | sha256sum | cut -c1-64)" >"$N/CertAuth.txt"
	printf -- '-----BEGIN CERTIFICATE-----\n' >"$N/com.apple.mgmt.External.pem"
	touch -d '2024-03-01T12:00:00Z' "$N"/*/*
}

# put BUCKET KEY: standard input, where NanoMDM's store of keys and values has it.
put() {
	local dir=$K/$1/${2:0:2}/${2:2:2}
	mkdir -p "$dir"
	cat >"$dir/$2"
}

# The same in $K, as NanoMDM keeps it from 0.8 on (filekv); C's token was removed.
filekv() {
	nanomdm
	K=$T/dbkv
	for id in "$A" "$B" "$C"; do
		put devices "$id.auth" <"$N/$id/Authenticate.plist"
		put devices "$id.tok_upd" <"$N/$id/TokenUpdate.plist"
		echo "C02${id:0:4}" | put devices "$id.serial"
		head -c 500 /dev/urandom | put devices "$id.cert"
		printf 'Device' | put enrollments "$id.type"
		printf 1 | put enrollments "$id.tok_tal"
		printf x | sha256sum | cut -c1-64 | tr -d '\n' | put cert_auth "$id.cert_hash"
		printf 'com.apple.mgmt.External' | put enrollments "$id.topic"
		set_token "$TOKEN_2" "$id" | put queue "$id.C.queueitem.report"
	done
	put devices "$A.bstoken" <"$N/$A/BootstrapToken.dat"
	put devices "$B.bstoken" <"$N/$B/BootstrapToken.dat"
	put devices "$C.bstoken" </dev/null
	printf 1 | put enrollments "$B.disabled"
	printf 1 | put enrollments "$A:501.disabled"
	put users "$A:501.tok_upd" <"$N/$A:501/TokenUpdate.plist"
	find "$K" -type f -exec touch -d '2024-03-01T12:00:00Z' {} +
}

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }
# All that a second import must leave alone.
state() { escrowfs status "$S" | grep -v '^served\|^store' && tail -n 1 "$M/audit"; }

@test "NanoMDM's store: tokens, facts, who is disabled; the escrow time is kept; nobody is stale" {
	mount_new
	nanomdm
	run -0 --separate-stderr escrowfs import "$S" "$N"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same') $(row refused)" '3 2 0 0'
	assert_equal "$(cat "$M/devices/$A/token")" "$(base64 -w0 "$N/$A/BootstrapToken.dat")"
	assert_equal "$(status_of $A) $(status_of $B) $(status_of $C)" 'escrowed unenrolled not_escrowed'
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["EscrowedAt"]')" 2024-03-01T12:00:00.000Z
	assert_equal "$(json_of '["Escrow"]["EnrolledAt"]')" 2024-03-01T12:00:00.000Z
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]')" C02AAAA
	D=$M/devices/$B
	assert_equal "$(json_of '["Escrow"]["CheckedOutAt"]')" 2024-03-01T12:00:00.000Z
	assert_equal "$(readlink "$M/search/serialnumber/c02aaaa")" "../../devices/$A"
	[ ! -e "$M/devices/$A:501" ]
	assert_equal "$(grep -c '"action":"import".*"reason":"from NanoMDM' "$M/audit")" 3
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "NanoMDM's store of keys and values: the same, and nothing of it is refused" {
	mount_new
	filekv
	run -0 --separate-stderr escrowfs import "$S" "$T/dbkv"
	assert_equal "$stderr" ''
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same') $(row refused)" '3 2 0 0'
	assert_equal "$(cat "$M/devices/$A/token")" "$(base64 -w0 "$N/$A/BootstrapToken.dat")"
	assert_equal "$(status_of $A) $(status_of $B) $(status_of $C)" 'escrowed unenrolled not_escrowed'
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["EscrowedAt"]')" 2024-03-01T12:00:00.000Z
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]')" C02AAAA
	D=$M/devices/$B
	assert_equal "$(json_of '["Escrow"]["CheckedOutAt"]')" 2024-03-01T12:00:00.000Z
	# Again, from the directory around it: nothing. And it is the same store as that of files.
	local before
	before=$(state)
	mkdir "$T/nano"
	mv "$K" "$N" "$T/nano"
	run -0 --separate-stderr escrowfs import "$S" "$T/nano"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same')" '0 0 4'
	assert_equal "$(state)" "$before"
}

@test "NanoMDM's store of keys and values: what is broken is named, and the rest goes on" {
	mount_new
	filekv
	head -c 100 "$N/$C/Authenticate.plist" | put devices 00008112-BROKEN.auth
	ln -s "$N/$A/BootstrapToken.dat" "$K/devices/00/00/00008112-LINK.bstoken"
	openssl rand 64 | put devices 00008112-ALONE.bstoken
	openssl rand 64 | put devices 'no udid.bstoken'
	ln -s ../00 "$K/devices/00/11"
	run -1 --separate-stderr escrowfs import "$S" "$K"
	for what in BROKEN: LINK*link 'no udid'*UDID; do
		# shellcheck disable=SC2053 # a pattern
		[[ $stderr == *$what* ]] || { echo "$what is not in: $stderr"; false; }
	done
	assert_equal "$(row refused) $(row 'tokens new')" '3 3'
	assert_equal "$(ls "$M/devices")" "$(printf '%s\n' 00008112-ALONE $A $B $C)"
}

@test "a second import changes nothing: no line on the trail, no file's time" {
	mount_new
	nanomdm
	escrowfs import "$S" "$N"
	before=$(state)
	stat -c '%n %y %s' "$M"/devices/*/* >"$T/before"
	run -0 --separate-stderr escrowfs import "$S" "$N"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same')" '0 0 2'
	assert_equal "$(state)" "$before"
	stat -c '%n %y %s' "$M"/devices/*/* | diff "$T/before" -
}

@test "--dry-run: the same table, and nothing written" {
	mount_new
	nanomdm
	rm "$S.key.pem"
	before=$(state)
	sha256sum "$S"/* >"$T/before"
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$N"
	assert_has "$output" 'Dry run: nothing was written'
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '3 2 0'
	assert_equal "$(state)" "$before"
	assert_equal "$(ls "$M/devices")" ''
	sha256sum "$S"/* | grep -v shm | diff <(grep -v shm "$T/before") -
	# Messages of one device are one device, as they would be.
	{ message Authenticate UDID=$UDID && message TokenUpdate UDID=$UDID && set_token "$TOKEN_1" && set_token "$TOKEN_1"; } >"$T/stream"
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$T/stream"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same')" '1 1 1'
	echo nonsense >"$T/bad"
	run -1 --separate-stderr escrowfs import --dry-run "$S" "$T/bad"
	assert_equal "$(state)" "$before"
	run -2 escrowfs status --dry-run "$S"
}

@test "what is broken is named, none of it stored, and the rest goes on" {
	mount_new
	nanomdm
	local id
	for id in EMPTY DIRECTORY LINK WRONG KEY BROKEN; do
		mkdir "$N/$id"
		message Authenticate UDID=$id >"$N/$id/Authenticate.plist"
	done
	: >"$N/EMPTY/BootstrapToken.dat"
	mkdir "$N/DIRECTORY/BootstrapToken.dat"
	openssl rand 64 >"$T/outside"
	ln -s "$T/outside" "$N/LINK/BootstrapToken.dat"
	message Authenticate UDID=OTHER >"$N/WRONG/Authenticate.plist"
	openssl rand 64 >"$N/WRONG/BootstrapToken.dat"
	printf 'ABCD-EFGH-IJKL-MNOP-QRST-UVWX' >"$N/KEY/BootstrapToken.dat"
	head -c 100 "$N/$C/Authenticate.plist" >"$N/BROKEN/Authenticate.plist"
	mkdir "$N/no udid" && cp "$N/$C/Authenticate.plist" "$N/no udid"
	ln -s "$N/$A" "$N/ELSEWHERE"
	echo nonsense >"$N/notes.txt"
	run -1 --separate-stderr escrowfs import "$S" "$N"
	for what in EMPTY/BootstrapToken.dat:*empty DIRECTORY/BootstrapToken.dat:*regular LINK/BootstrapToken.dat:*link \
		WRONG:*OTHER KEY:*'Recovery Key' BROKEN: 'no udid':*UDID ELSEWHERE:*link notes.txt:; do
		# shellcheck disable=SC2053 # a pattern
		[[ $stderr == *$what* ]] || { echo "$what is not in: $stderr"; false; }
	done
	assert_equal "$(row refused) $(row 'not read')" '8 1'
	assert_equal "$(row 'tokens new')" 2
	for id in EMPTY DIRECTORY LINK; do
		[ ! -s "$M/devices/$id/token" ]
	done
	for id in WRONG OTHER KEY BROKEN ELSEWHERE; do
		[ ! -e "$M/devices/$id" ]
	done
	[ -s "$M/devices/$A/token" ]
}

@test "an older token becomes a version that has ended; what happened here since stands" {
	mount_new
	nanomdm
	set_token "$TOKEN_1" $A | checkin
	results SecurityInfo '<key>FDE_Enabled</key><true/>' $A | checkin
	message Authenticate UDID=$A SerialNumber=NEWER | checkin
	message TokenUpdate UDID=$B | checkin
	run -0 --separate-stderr escrowfs import "$S" "$N"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["SerialNumber"]')" NEWER
	run -0 escrowfs history "$S" $A
	assert_has "$output" '2024-03-01T12:00:00.000Z'
	assert_equal "$(grep -c replaced <<<"$output")" 1
	# B enrolled here after it was disabled there; its token is none that it has here.
	assert_equal "$(status_of $B)" escrowed
	before=$(state)
	escrowfs import "$S" "$N"
	assert_equal "$(state)" "$before"
	# Removed here: it stays so.
	truncate -s 0 "$M/devices/$B/token"
	escrowfs import "$S" "$N"
	[ ! -s "$M/devices/$B/token" ]
}

@test "a message whose token the device has changes nothing; of two for one device the later one counts" {
	mount_new
	{ set_token "$TOKEN_1" && set_token "$TOKEN_2"; } >"$T/stream"
	run -0 --separate-stderr escrowfs import "$S" "$T/stream"
	assert_equal "$(row 'devices new') $(row 'tokens new')" '1 2'
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_2"
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$T/stream"
	assert_equal "$(row 'tokens the same')" 2
	assert_equal "$(grep -c '"action":"confirm"\|replay' "$M/audit")" 0
	assert_equal "$(tail -n 1 "$M/audit" | grep -c '"retrieve"')" 1 # of the cat above
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_2"
}

@test "hundreds of devices in their order, several messages each" {
	mount_new
	python3 - "$T/stream" <<'PY'
import plistlib, sys
with open(sys.argv[1], "wb") as out:
    for step in range(3):
        for i in range(700):
            udid = "DEVICE-%d" % i
            for m in ({"MessageType": "Authenticate", "UDID": udid, "SerialNumber": "S%d-%d" % (i, step)},
                      {"MessageType": "SetBootstrapToken", "UDID": udid, "BootstrapToken": b"token %d of %d" % (step, i)}):
                out.write(plistlib.dumps(m))
PY
	run -0 --separate-stderr escrowfs import "$S" - <"$T/stream"
	assert_equal "$(row 'devices new') $(row 'tokens new')" '700 2100'
	for i in 0 1 255 256 699; do
		assert_equal "$(base64 -d "$M/devices/DEVICE-$i/token")" "token 2 of $i"
		[ -e "$M/search/serialnumber/s$i-2" ]
	done
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

# Messages that don't say when they were sent are as old as they came, not as somebody got to read them.
@test "thousands of devices: what a later message reports stands" {
	escrowfs init "$S"
	python3 - "$T/stream" <<'PY'
import plistlib, sys
with open(sys.argv[1], "wb") as out:
    for i in range(3000):
        udid = "DEVICE-%d" % i
        for m in ({"MessageType": "Authenticate", "UDID": udid, "OSVersion": "14.1"},
                  {"CommandUUID": "C", "Status": "Acknowledged", "UDID": udid, "SecurityInfo": {"ManagementStatus": {
                      "EnrolledViaDEP": False, "UserApprovedEnrollment": False}}}):
            out.write(plistlib.dumps(m))
PY
	run -0 --separate-stderr escrowfs import "$S" - <"$T/stream"
	assert_equal "$(row 'devices new')" 3000
	assert_has "$(escrowfs status "$S")" 'not_eligible      3000'
}

@test "no plaintext token is left in the store's files, nor a private one on the trail" {
	mount_new
	nanomdm
	printf 'a token that is easily found' >"$N/$A/BootstrapToken.dat"
	escrowfs import "$S" "$N"
	run -1 grep -rqF 'a token that is easily found' "$S"
	run -1 grep -qF "$(printf 'a token that is easily found' | base64)" "$M/audit"
}

@test "a file's time that no file can have says nothing: the token is taken in as of now" {
	mount_new
	nanomdm
	touch -d '1969-12-31T23:00:00Z' "$N/$A"/*
	touch -d '2400-01-01T00:00:00Z' "$N/$B"/*
	run -0 --separate-stderr escrowfs import "$S" "$N"
	assert_equal "$(cat "$M/devices/$A/token")" "$(base64 -w0 "$N/$A/BootstrapToken.dat")"
	assert_equal "$(status_of $A)" escrowed
	assert_equal "$(escrowfs history "$S" $A | awk 'NR > 1 { print substr($2, 1, 4) }')" "$(date -u +%Y)"
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

#!/usr/bin/env bats
# shellcheck disable=SC2010,SC2030,SC2031,SC2034,SC2086,SC2153,SC2154,SC2012 # tests are subshells; UDID is a plain word
# export: tokens for another MDM, as messages and as CSV, each on the trail before it leaves; and the sealed tree.

load helper

OTHER=0E5C0A00-0001-4000-8000-000000000001
EMPTY=0E5C0A00-0002-4000-8000-000000000002

# A device with a token and a serial number that needs quotes, one that checked out, one without a token.
prepare() {
	mount_new
	device "$EMPTY"
	device "$OTHER"
	echo "$TOKEN_2" >"$D/token"
	message CheckOut UDID="$OTHER" | checkin
	[ "$(status_of "$OTHER")" = unenrolled ]
	device
	echo "$TOKEN_1" >"$D/token"
	printf '{"SerialNumber": "C02,\\"7\\""}' >"$D/security.json"
	O=$T/out
}

export_to() { escrowfs export "$S" --to "$@"; }

@test "messages: a SetBootstrapToken property list for each device, its owner's alone, that import takes" {
	local before
	before=$(lines)
	run -0 --separate-stderr export_to messages "$O"
	assert_has "$output" '2 tokens in'
	assert_has "$output" '1 device has none'
	assert_equal "$(ls -A "$O" | tr '\n' ' ')" "$OTHER.plist $UDID.plist "
	assert_equal "$(stat -c %a "$O" "$O"/* | tr '\n' ' ')" '700 600 600 '
	assert_equal "$(reply_token <"$O/$UDID.plist")" "$TOKEN_1"
	assert_equal "$(sed "1,${before}d" "$M/audit" | grep -c '"action":"export","outcome":"ok"')" 2
	sed "1,${before}d" "$M/audit" | grep "$UDID.*\"version\":1.*as messages, to $O"
	[ "$(json_of '["Escrow"]["RetrievedAt"]')" != '' ]
	escrowfs init "$T/new" >/dev/null
	escrowfs import "$T/new" "$O"
	mkdir "$T/mnt2"
	escrowfs mount "$T/new" "$T/mnt2"
	assert_equal "$(cat "$T/mnt2/devices/$UDID/token" "$T/mnt2/devices/$OTHER/token")" "$TOKEN_1
$TOKEN_2"
	run -0 escrowfs verify "$S"
}

@test "csv: one file that RFC 4180 readers take" {
	run -0 --separate-stderr export_to csv "$O"
	assert_equal "$(ls -A "$O")" tokens.csv
	assert_equal "$(stat -c %a "$O/tokens.csv")" 600
	run -0 python3 - "$O/tokens.csv" <<'PY'
import csv, sys
for row in csv.DictReader(open(sys.argv[1], newline="")):
    print(row["udid"], row["serial"], row["token"])
    assert row["escrowed_at"][:2] == "20" and row["escrowed_at"][-1] == "Z"
PY
	assert_equal "$output" "$OTHER  $TOKEN_2
$UDID C02,\"7\" $TOKEN_1"
	assert_equal "$(head -n 1 "$O/tokens.csv")" 'udid,serial,token,escrowed_at'
	assert_equal "$(grep -c 'as CSV, to ' "$M/audit")" 2
}

@test "some devices only, in any case of letters; those that aren't there or have none are named" {
	run -1 --separate-stderr export_to messages "$O" "${UDID,,}" "$UDID" NOBODY "$EMPTY"
	assert_equal "$(ls -A "$O")" "$UDID.plist"
	assert_has "$stderr" 'NOBODY: there is none of this name'
	assert_has "$stderr" "$EMPTY: no token is escrowed"
	assert_has "$output" '1 token in'
	assert_has "$output" '2 devices were not exported'
	run -0 export_to csv "$T/out2" "$OTHER"
	assert_equal "$(wc -l <"$T/out2/tokens.csv")" 2
	run -2 export_to messages "$T/out3" ../x
	[ ! -e "$T/out3" ]
}

@test "on the trail before: no file is made until the lines are on disk, and none if they can't be" {
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -f -y -qq -e trace=fsync,fdatasync,openat -o "$T/calls" \
		"$ESCROWFS" export "$S" --to messages "$O"
	run -0 python3 - "$T/calls" <<'PY'
import re, sys
calls = open(sys.argv[1]).read().split("\n")
made = [i for i, line in enumerate(calls) if '".unfinished"' in line and "O_CREAT" in line]
synced = [i for i, line in enumerate(calls) if re.search(r"f(data)?sync\(\d+<[^>]*escrow.db-wal", line)]
assert len(made) == 2 and all("O_EXCL|O_NOFOLLOW" in calls[i] for i in made)
# What was synced last before the first file is after everything else that could have been.
assert any(i < made[0] for i in synced), calls
PY
	# With its disk full the store records nothing.
	unmount
	mkdir "$T/disk"
	mount -t tmpfs -o size=4m tmpfs "$T/disk"
	rm "$S/escrow.db-reserve"
	mv "$S" "$S.key.pem" "$T/disk"
	S=$T/disk/store
	escrowfs status "$S" >/dev/null
	dd if=/dev/zero of="$T/disk/ballast" bs=4k 2>/dev/null || :
	run -1 --separate-stderr export_to messages "$T/out2"
	assert_has "$stderr" 'full'
	[ ! -e "$T/out2" ]
	run -1 --separate-stderr export_to csv "$T/out2"
	[ ! -e "$T/out2" ]
}

@test "a token that doesn't open is named, on the trail, and the rest goes on" {
	unmount
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = CAST(substr(blob, 1, length(blob) - 1) || x'00' AS BLOB) WHERE version =
		(SELECT v.id FROM version v JOIN device d ON d.id = v.device WHERE udid = '$OTHER')"
	mount_again
	run -1 --separate-stderr export_to messages "$O"
	assert_has "$stderr" "$OTHER, version 1"
	assert_has "$output" '1 token in'
	assert_has "$output" '1 device was not exported'
	assert_equal "$(ls -A "$O")" "$UDID.plist"
	grep '"action":"refuse","outcome":"EBADMSG"' "$M/audit" | grep "$OTHER"
}

@test "a directory that others may enter, that isn't empty, is another's or no directory is refused" {
	mkdir -m 0750 "$O"
	run -1 export_to messages "$O"
	assert_has "$output" "chmod 0700"
	chmod 0700 "$O"
	touch "$O/.hidden"
	run -1 export_to csv "$O"
	assert_has "$output" "isn't empty"
	rm "$O/.hidden"
	chown 4321 "$O"
	run -1 export_to messages "$O"
	assert_has "$output" 'another user'
	chown 0 "$O"
	run -1 export_to messages "$T/init.out"
	assert_has "$output" 'Not a directory'
	run -1 export_to messages "$T/no/such"
	assert_has "$output" 'No such file'
	assert_equal "$(ls -A "$O")" ''
	run ! grep -q '"action":"export"' "$M/audit"
	run -0 export_to messages "$O/"
}

@test "nothing is written inside the store or a mounted escrow, and no device is made there" {
	local where
	ln -s "$S" "$T/link"
	for where in "$S/out" "$S" "$T/link/out" "$S/../store/out/"; do
		run -1 export_to messages "$where"
		assert_has "$output" 'inside the store'
		run -1 export_to tree "$where"
		assert_has "$output" 'inside the store'
	done
	assert_equal "$(ls "$S" | grep -cv '^escrow.db\|^lock$')" 0
	chmod 0700 "$M/devices"
	for where in "$M/devices/OUT" "$M/devices" "$M/devices/$EMPTY"; do
		run -1 export_to messages "$where"
		assert_has "$output" 'inside a mounted escrow'
		run -1 export_to tree "$where"
		assert_has "$output" 'inside a mounted escrow'
	done
	[ ! -e "$M/devices/OUT" ]
}

@test "without the key: refused, with the remedy, and no directory made" {
	mv "$S.key.pem" "$T/away"
	run -1 --separate-stderr export_to messages "$O"
	assert_has "$stderr" '--key URI'
	assert_has "$stderr" '--to tree'
	[ ! -e "$O" ]
	trail | grep '"action":"refuse","outcome":"ENOKEY"'
	run -0 export_to messages "$O" --key "$S.recovery.pem"
	assert_equal "$(reply_token <"$O/$UDID.plist")" "$TOKEN_1"
	run -2 export_to tree "$T/out2" --key "$S.recovery.pem"
	run -2 export_to xml "$T/out2"
	run -2 escrowfs export "$S" "$T/out2"
	run -2 export_to csv
}

@test "killed in the middle it leaves no half under a message's name; import passes by what is left" {
	local status=0
	mkdir -m 0700 "$O"
	# The second message's file is there, and nothing of it is written.
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -f -qq -e trace=write \
		-P "$O/.unfinished" -P "$O/$OTHER.plist" -P "$O/$UDID.plist" \
		-e inject=write:signal=SIGKILL:when=2 -o "$T/calls" \
		"$ESCROWFS" export "$S" --to messages "$O" || status=$?
	assert_equal "$status" 137
	assert_equal "$(ls -A "$O" | tr '\n' ' ')" ".unfinished $OTHER.plist "
	assert_equal "$(reply_token <"$O/$OTHER.plist")" "$TOKEN_2"
	escrowfs init "$T/new" >/dev/null
	run -0 escrowfs import "$T/new" "$O"
	assert_has "$output" '1 record from 1 source: 1 took effect'
	run -1 export_to messages "$O"
	assert_has "$output" "isn't empty"
	rm "$O/.unfinished" "$O"/*
	run -0 export_to messages "$O"
	assert_equal "$(ls -A "$O" | wc -l)" 2
}

@test "a full disk says so, and no half-written file is left behind" {
	local i
	head -c 45000 /dev/zero | base64 -w 0 >"$T/token"
	for i in 1 2 3 4 5; do
		mkdir "$M/devices/LARGE-$i"
		set_token "$(cat "$T/token")" "LARGE-$i" >"$M/devices/LARGE-$i/token"
	done
	mkdir "$O"
	mount -t tmpfs -o size=160k,mode=0700 tmpfs "$O"
	run -1 --separate-stderr export_to messages "$O"
	assert_has "$stderr" 'the disk is full'
	[ "$(ls "$O" | wc -l)" -ge 2 ]
	for i in "$O"/*; do
		reply_token <"$i" >/dev/null
	done
	rm "$O"/*
	run -1 --separate-stderr export_to csv "$O"
	assert_has "$stderr" 'the disk is full'
	assert_equal "$(ls -A "$O")" ''
	run -1 --separate-stderr export_to tree "$O"
	assert_has "$stderr" 'the disk is full'
	for i in "$O"/devices/*/token; do
		[ ! -s "$i" ] || openssl cms -cmsout -noout -inform PEM -in "$i"
	done
}

# A signal at the first file of many: the batch at hand is finished.
@test "stopped, it ends between two batches and says so; half a CSV is taken away" {
	local first
	python3 - >"$T/stream" <<'PY'
import base64
for i in range(600):
    print('<plist version="1.0"><dict><key>MessageType</key><string>SetBootstrapToken</string><key>UDID</key><string>MANY-%d'
          '</string><key>BootstrapToken</key><data>%s</data></dict></plist>' % (i, base64.b64encode(b"token %d" % i).decode()))
PY
	escrowfs import "$S" - <"$T/stream"
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
	strace -qq -e trace=openat -o "$T/calls" "$ESCROWFS" export "$S" --to messages "$T/all" >"$T/out.all"
	assert_equal "$(ls "$T/all" | wc -l)" 602
	first=$(grep -n -m 1 '"\.unfinished"' "$T/calls" | cut -d : -f 1)
	run -1 strace -qq -e trace=openat -e inject=openat:signal=SIGINT:when=$((first + 3)) -o "$T/calls" \
		"$ESCROWFS" export "$S" --to messages "$O"
	assert_has "$output" 'Stopped before the end'
	# Three devices were there first, and one of them has no token.
	assert_equal "$(ls "$O" | wc -l)" 255
	run -1 strace -qq -e trace=syncfs,write -e inject=write:signal=SIGINT:when=20 -o "$T/calls" \
		"$ESCROWFS" export "$S" --to csv "$T/csv"
	assert_has "$output" 'Stopped before the end'
	assert_equal "$(ls -A "$T/csv")" ''
}

@test "a tree is what a sealed mount shows, to the byte, without a key, and on no trail" {
	local before
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	chmod 0640 "$D/token"
	chgrp 4321 "$D/token"
	setfacl -m u:4321:r "$D/security.json"
	device GONE
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	mv "$S.key.pem" "$T/away"
	before=$(lines)
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	run -0 --separate-stderr export_to tree "$O"
	assert_has "$output" 'every token sealed'
	assert_equal "$(lines)" "$before"
	diff -r --no-dereference "$T/sealed" "$O"
	shown() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%P %y %m %U %G %T@\n' -o -printf '%P %y %m %U %G %T@ %s %l\n' \) | sort); }
	diff <(shown "$T/sealed") <(shown "$O")
	diff <(cd "$T/sealed" && getfacl -p devices/*/*) <(cd "$O" && getfacl -p devices/*/*)
	getfacl -p "$O/devices/$UDID/security.json" | grep 'user:4321:r--'
	assert_equal "$(ls "$O/devices/$UDID/history" "$O/removed" | tr '\n' ' ')" "$O/devices/$UDID/history: 1.pem 2.pem  $O/removed: GONE "
	run -1 grep -r "$TOKEN_1" "$O"
	openssl cms -decrypt -inform PEM -in "$O/devices/$UDID/token" -inkey "$S.recovery.pem" -out "$T/plist"
	assert_equal "$(reply_token <"$T/plist")" "$TOKEN_1"
}

@test "a tree of some devices: those there and those taken away, and no others" {
	device GONE
	echo "$TOKEN_1" >"$D/token"
	truncate -s 0 "$D/token"
	rmdir "$D"
	run -1 --separate-stderr export_to tree "$O" "${UDID,,}" GONE NOBODY
	assert_has "$stderr" 'NOBODY: there is none of this name'
	assert_equal "$(ls "$O" | tr '\n' ' ')" 'devices removed '
	assert_equal "$(ls "$O/devices" "$O/removed" | tr '\n' ' ')" "$O/devices: $UDID  $O/removed: GONE "
}

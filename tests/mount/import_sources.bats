#!/usr/bin/env bats
# shellcheck disable=SC2012,SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# import of sources of all kinds, told apart by what is in them: streams, webhooks, directories of anything; and
# what export wrote, into another store.

load helper

A=AAAAAAAA-0000-4000-8000-000000000001
B=BBBBBBBB-0000-4000-8000-000000000002
C=CCCCCCCC-0000-4000-8000-000000000003

prepare() { mount_new; }

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }
counts() { echo "$(row 'devices new') $(row 'tokens new') $(row 'tokens the same') $(row refused)"; }
state() { tail -n 1 "$M/audit" && stat -c '%n %y %s' "$M"/devices/*/* "$M/audit"; }
tokens() { for d; do cat "$M/devices/$d/token"; done; }

# The line that a webhook gets of the message on standard input: webhook NAME TIME, as NanoMDM or MicroMDM posts it.
webhook() {
	python3 -c '
import base64, json, sys
name, time, raw = sys.argv[1], sys.argv[2], sys.stdin.buffer.read()
kind = "acknowledge_event" if name == "mdm.Connect" else "checkin_event"
event = {"udid": "read from the payload", "url_params": None, "raw_payload": base64.b64encode(raw).decode()}
line = {"topic": name, "event_id": "e", "created_at": time, kind: event}
if kind == "acknowledge_event":
    event.update({"status": "Acknowledged", "command_uuid": "C"})
print(json.dumps(line))' "$1" "$2"
}

# What a webhook was sent: A enrols, escrows, is asked; B escrows twice and leaves.
webhooks() {
	message Authenticate UDID=$A SerialNumber=C02A OSVersion=14.1 | webhook mdm.Authenticate 2024-03-01T08:00:00Z
	message TokenUpdate UDID=$A AwaitingConfiguration:='<true/>' | webhook mdm.TokenUpdate 2024-03-01T08:00:01.5Z
	set_token "$TOKEN_1" $A | webhook mdm.SetBootstrapToken 2024-03-01T08:01:00.13272395Z
	results SecurityInfo '<key>FDE_Enabled</key><true/>' $A | webhook mdm.Connect 2024-03-01T08:02:00Z
	get_token $A | webhook mdm.GetBootstrapToken 2024-03-01T08:03:00Z
	set_token "$TOKEN_1" $B | webhook mdm.SetBootstrapToken 2024-03-02T10:00:00+02:00
	set_token "$TOKEN_2" $B | webhook mdm.SetBootstrapToken 2024-03-02T11:00:00+02:00
	message CheckOut UDID=$B | webhook mdm.CheckOut 2024-03-03T00:00:00Z
}

@test "a webhook's JSON lines: the times are those of the envelopes; again, and in any order, nothing changes" {
	webhooks >"$T/log"
	run -0 --separate-stderr escrowfs import "$S" "$T/log"
	assert_equal "$(counts)" '2 3 0 0'
	assert_equal "$(tokens $A $B)" "$TOKEN_1
$TOKEN_2"
	assert_equal "$(status_of $A) $(status_of $B)" 'escrowed unenrolled'
	D=$M/devices/$A
	assert_equal "$(json_of '["Escrow"]["EscrowedAt"]') $(json_of '["Escrow"]["EnrolledAt"]')" \
		'2024-03-01T08:01:00.132Z 2024-03-01T08:00:00.000Z'
	D=$M/devices/$B
	assert_equal "$(json_of '["Escrow"]["EscrowedAt"]') $(json_of '["Escrow"]["CheckedOutAt"]')" \
		'2024-03-02T09:00:00.000Z 2024-03-03T00:00:00.000Z'
	local before
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" "$T/log"
	assert_equal "$(counts)" '0 0 3 0'
	assert_equal "$(state)" "$before"
	tac "$T/log" | escrowfs import "$S" -
	assert_equal "$(tokens $A $B) $(status_of $A) $(status_of $B)" "$TOKEN_1
$TOKEN_2 escrowed unenrolled"
}

@test "a stream of everything on standard input: property lists, webhooks, headers, and rubbish between" {
	{
		message Authenticate UDID=$A
		set_token "$TOKEN_1" $A | webhook mdm.SetBootstrapToken 2024-03-01T08:01:00Z
		printf 'Identity: %064d\nX-Other: x\n\n' 7
		message TokenUpdate UDID=$A
		echo 'rubbish, which has no end'
		set_token "$TOKEN_2" $B | python3 -c 'import plistlib, sys; sys.stdout.buffer.write(plistlib.dumps(plistlib.loads(sys.stdin.buffer.read()), fmt=plistlib.FMT_BINARY))'
		echo
		echo '{"topic": "mdm.TokenUpdate", "checkin_event": {"raw_payload": "not base64"}}'
		message TokenUpdate UDID=$A UserID=501
		set_token "$TOKEN_1" $C
	} >"$T/stream"
	run -1 --separate-stderr escrowfs import "$S" - <"$T/stream"
	assert_equal "$(counts)" '3 3 0 2'
	assert_equal "$(grep -c '^escrowfs: standard input, message ' <<<"$stderr")" 2
	assert_equal "$(tokens $A $B $C)" "$TOKEN_1
$TOKEN_2
$TOKEN_1"
	run -1 --separate-stderr escrowfs import "$S" - < <(cat "$T/stream")
	assert_equal "$(counts)" '0 0 3 2'
}

# A directory of all kinds of sources, under names that tell nothing or the wrong thing.
all_kinds() {
	X=$T/everything
	mkdir -p "$X/a.csv/NANO-1" "$X/b" "$X/c/deep/er/still"
	printf 'a token from a file' >"$X/a.csv/NANO-1/BootstrapToken.dat"
	message Authenticate UDID=NANO-1 >"$X/a.csv/NANO-1/Authenticate.plist"
	python3 "$BATS_TEST_DIRNAME/table.py" postgres <<<"PG-1 - $TOKEN_1 2024-03-01 00:00:00+00" >"$X/b/table.json"
	python3 "$BATS_TEST_DIRNAME/table.py" mysql <<<"MY-1 - $TOKEN_1 2024-03-01 00:00:00" >"$X/b/BootstrapToken"
	python3 "$BATS_TEST_DIRNAME/table.py" plain <<<"CSV-1 S $TOKEN_1 -" >"$X/b/token.plist"
	set_token "$TOKEN_1" HOOK-1 | webhook mdm.SetBootstrapToken 2024-03-01T08:01:00Z >"$X/c/data.csv"
	set_token "$TOKEN_1" MESSAGE-1 >"$X/c/deep/er/still/x.pem"
	escrowfs init "$T/other" >"$T/other.out"
	set_token "$TOKEN_1" TREE-1 | escrowfs import "$T/other" -
	escrowfs export "$T/other" --to tree "$X/d.plist"
	chmod 0755 "$X/d.plist"
}
KINDS='CSV-1 HOOK-1 MESSAGE-1 MY-1 NANO-1 PG-1 TREE-1'

@test "a directory of all kinds of sources, told by what is in them; and each of them by itself" {
	all_kinds
	run -0 --separate-stderr escrowfs import "$S" "$X" --key "$T/other.key.pem"
	assert_equal "$(counts)" '7 7 0 0'
	assert_equal "$(ls "$M/devices" | tr '\n' ' ')" "$KINDS "
	assert_equal "$(tokens CSV-1 HOOK-1 MESSAGE-1 MY-1 PG-1 TREE-1 | sort -u)" "$TOKEN_1"
	assert_equal "$(base64 -d "$M/devices/NANO-1/token")" 'a token from a file'
	local before
	before=$(state)
	run -0 --separate-stderr escrowfs import "$S" --key "$T/other.key.pem" "$X"/[abc]*/* "$X/d.plist"
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '0 0 0'
	assert_equal "$(state)" "$before"
}

@test "what is in a directory and no source is named: links, pipes, devices, sockets, unreadable and empty files" {
	set_token "$TOKEN_1" $A >"$T/outside"
	mkdir -p "$T/dir/directory.csv" "$T/dir/.hidden" "$T/away"
	set_token "$TOKEN_2" $B | tee "$T/dir/.message" >"$T/dir/.hidden/message"
	set_token "$TOKEN_2" $C | tee "$T/dir/good" >"$T/away/message"
	ln -s "$T/outside" "$T/dir/link"
	ln -s "$T/away" "$T/dir/linked"
	ln -s .. "$T/dir/up"
	mkfifo "$T/dir/fifo"
	mknod "$T/dir/zero" c 1 5
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/dir/socket"
	: >"$T/dir/empty"
	echo nonsense >"$T/dir/nonsense"
	head -c 3000000 /dev/zero | tr '\0' x >"$T/dir/large"
	set_token "$TOKEN_1" $B >"$T/dir/unreadable"
	mkdir "$T/dir/closed"
	set_token "$TOKEN_1" $B >"$T/dir/closed/message"
	# Root reads everything; so what can't be read is of a filesystem that says no.
	chmod 0 "$T/dir/unreadable" "$T/dir/closed"
	chown -R 4321:4321 "$T/dir" "$S" "$S.key.pem"
	umount "$M"
	chmod 0600 "$S.key.pem"
	cp "$ESCROWFS" "$T/escrowfs"
	run -1 --separate-stderr timeout 60 setpriv --reuid=4321 --regid=4321 --clear-groups "$T/escrowfs" import "$S" "$T/dir"
	assert_equal "$(counts) $(row 'not read')" '1 1 0 1 10'
	local what
	for what in 'link: a symbolic link' 'linked: a symbolic link' 'up: a symbolic link' 'fifo: it is no regular file' \
		'zero: it is no regular file' 'socket: it is no regular file' 'empty: it is empty' 'nonsense: ' \
		'large: no message ends' 'unreadable: Permission denied' 'closed: Permission denied'; do
		assert_has "$stderr" "escrowfs: $T/dir/$what"
	done
	assert_equal "$(grep -c "^escrowfs: $T/dir" <<<"$stderr")" 11
}

@test "a source that is named is followed: a link, a pipe; one that isn't there is named, and the rest goes on" {
	set_token "$TOKEN_1" $A >"$T/outside"
	ln -s "$T/outside" "$T/link"
	run -1 --separate-stderr escrowfs import "$S" "$T/nothing" "$T/link" <(set_token "$TOKEN_2" $B) "$T/mnt/metrics"
	assert_equal "$(counts)" '2 2 0 1'
	assert_has "$stderr" "escrowfs: $T/nothing: No such file"
	run -0 --separate-stderr escrowfs import "$S" - </dev/null
	assert_equal "$(counts)" '0 0 0 0'
	run -1 --separate-stderr escrowfs import "$S" /dev/null /dev/zero
	assert_has "$stderr" '/dev/null: it is empty'
	assert_has "$stderr" '/dev/zero: no message ends'
}

@test "directories as deep as paths go are left out where they are too deep, and nothing breaks" {
	python3 - "$T/deep" <<'PY'
import os, sys
os.mkdir(sys.argv[1])
os.chdir(sys.argv[1])
for i in range(3000):
    os.mkdir("devices")
    os.mkdir("removed")
    os.chdir("devices")
PY
	mkdir -p "$T/dir/1/2/3/4/5/6/7/8/9/10/11/12"
	set_token "$TOKEN_1" $A >"$T/dir/1/2/3/4/5/6/7/8/9/10/11/12/message"
	run -1 --separate-stderr timeout 60 "$ESCROWFS" import "$S" "$T/deep" "$T/dir"
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_1"
	assert_has "$stderr" 'it lies too deep'
	(cd "$T" && rm -rf deep)
}

# ---- the way back ----

# A store with a past, exported as $1 to $O; what was in it is in $OLD.
exported() {
	local id
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	O=$T/out OLD=
	for id in "$M"/devices/*; do
		[ ! -s "$id/token" ] || OLD+="${id##*/} $(cat "$id/token")"$'\n'
	done
	[ "$(wc -l <<<"$OLD")" -gt 5 ]
	TIMES=$(times)
	escrowfs export "$S" --to "$1" "$O"
	unmount
	mv "$S" "$T/first"
	mv "$S.key.pem" "$T/first.key.pem"
	rm -f "$S.recovery.pem"
	escrowfs init "$S" >"$T/init.out"
	mount_again
}

# When each current token was escrowed.
times() { python3 -c 'import json, sys
for name in sys.argv[1:]:
    escrow = json.load(open(name))["Escrow"]
    print([(v["EscrowedAt"]) for v in escrow.get("Versions", []) if "EndedAt" not in v])' "$M"/devices/*/security.json | grep 20; }

now_there() {
	local id
	for id in "$M"/devices/*; do
		[ ! -s "$id/token" ] || echo "${id##*/} $(cat "$id/token")"
	done
}

@test "what export wrote as CSV, as messages, or as a tree comes into another store, the same tokens" {
	local form before
	for form in csv messages tree; do
		exported $form
		[ $form != tree ] || set -- --key "$T/first.key.pem"
		run -0 --separate-stderr escrowfs import "$S" "$O" "$@"
		assert_equal "$(now_there)" "${OLD%$'\n'}"
		[ $form = messages ] || assert_equal "$(times)" "$TIMES"
		before=$(state)
		run -0 --separate-stderr escrowfs import "$S" "$O" "$@"
		assert_equal "$(row 'devices new') $(row 'tokens new')" '0 0'
		assert_equal "$(state)" "$before"
		run -0 escrowfs verify "$S"
		unmount
		rm -rf "$S" "$S".*.pem "$T/first" "$T/first.key.pem" "$O"
		escrowfs init "$S" >"$T/init.out"
		mount_again
	done
}

@test "what is no source says what to do instead: an archive, an empty directory, an open mount" {
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	local lines_before
	lines_before=$(lines)
	mkdir -p "$T/empty" "$T/some" && echo x >"$T/some/x" && tar -cf "$T/x.tar" -C "$T/some" x
	run -1 --separate-stderr escrowfs import "$S" "$T/empty"
	assert_has "$stderr" "$T/empty: there is nothing in it to take in"
	run -1 --separate-stderr escrowfs import "$S" "$T/x.tar"
	assert_has "$stderr" "x.tar: it is a tar archive: unpack it, and name the directory"
	run -1 --separate-stderr escrowfs import "$S" - <"$T/x.tar"
	assert_has "$stderr" 'it is a tar archive'
	run -1 --separate-stderr escrowfs import "$S" "$M"
	assert_has "$stderr" "$M: an open mount, of which an import would retrieve every token"
	assert_equal "$(grep -c . <<<"$stderr")" 1
	assert_equal "$(lines)" "$lines_before"
}

@test "a full disk ends it: what is in is said, and with room it goes on" {
	unmount
	mkdir "$T/disk"
	mount -t tmpfs -o size=3m tmpfs "$T/disk"
	rm "$S/escrow.db-reserve"
	mv "$S" "$S.key.pem" "$T/disk/"
	S=$T/disk/store
	{
		echo udid,serial,token
		for i in $(seq 3000); do printf 'U-%04d,S%d,%s\n' "$i" "$i" "$(base64 <<<"token $i")"; done
	} >"$T/many.csv"
	run -1 --separate-stderr escrowfs import "$S" "$T/many.csv" --key "$T/disk/store.key.pem"
	assert_has "$stderr" "the store's disk is full"
	[ "$(row 'devices new')" -gt 0 ]
	assert_has "$output" "The store has $(row 'devices new') devices"
	assert_has "$output" 'Stopped before the end: run it again'
	mount -o remount,size=60m "$T/disk"
	run -0 --separate-stderr escrowfs import "$S" "$T/many.csv" --key "$T/disk/store.key.pem"
	assert_has "$output" 'The store has 3000 devices'
}

@test "another process that writes for too long ends the import, in one sentence" {
	local i
	for i in $(seq 600); do set_token "$TOKEN_1" "DEVICE-$i"; done >"$T/messages"
	python3 - "$S/escrow.db" "$T/held" <<'PY' 3>&- &
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
open(sys.argv[2], "w").close()
time.sleep(100)
PY
	eventually 50 test -e "$T/held"
	run -1 --separate-stderr escrowfs import "$S" "$T/messages"
	kill $!
	assert_equal "$(grep -vc '^escrowfs: taken in' <<<"$stderr")" 1
	assert_has "$stderr" 'has been writing to the store for too long; the change was not made, try again'
	run -0 escrowfs import "$S" "$T/messages"
	assert_has "$output" '600 took effect'
}

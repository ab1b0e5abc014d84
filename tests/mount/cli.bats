#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012,SC2154 # tests are subshells; UDID is a plain word
# The command line: init, import, verify, status; what each refuses, and in which words.

load helper

@test "init makes a store, a daily and a recovery key, and says what to keep where" {
	run -0 escrowfs init "$S"
	assert_has "$output" "$S.key.pem"
	assert_has "$output" "$S.recovery.pem"
	assert_has "$output" 'OFF THIS MACHINE'
	assert_equal "$(stat -c %a "$S" "$S.key.pem" "$S.recovery.pem" | tr '\n' ' ')" '700 600 600 '
	for key in key recovery; do
		openssl pkey -in "$S.$key.pem" -noout
		openssl x509 -in "$S.$key.pem" -noout -checkend 86400
	done
	assert_has "$(openssl pkey -in "$S.key.pem" -noout -text)" prime256v1
	assert_has "$(openssl pkey -in "$S.recovery.pem" -noout -text)" '3072 bit'
}

@test "init overwrites nothing, and leaves nothing when it fails" {
	escrowfs init "$S"
	find "$S"* -type f -exec md5sum {} + | sort >"$T/before"
	run -1 escrowfs init "$S"
	find "$S"* -type f -exec md5sum {} + | sort | diff "$T/before" -
	touch "$T/other.recovery.pem"
	run -1 escrowfs init "$T/other"
	assert_has "$output" "$T/other.recovery.pem"
	[ ! -e "$T/other" ]
	[ ! -e "$T/other.key.pem" ]
	mkdir "$T/full"
	touch "$T/full/file"
	run -1 escrowfs init "$T/full"
	[ -e "$T/full/file" ]
	run -1 escrowfs init "$T/new" --recipient "$T/nothing.pem"
	assert_has "$output" "$T/nothing.pem"
	[ ! -e "$T/new" ]
}

@test "init with an existing key, one more recipient, no recovery key" {
	openssl ecparam -name prime256v1 -genkey -noout -out "$T/mine.pem"
	chmod 600 "$T/mine.pem"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/offline.key" -out "$T/offline.crt" -subj /CN=offline -days 30 2>/dev/null
	escrowfs init "$S" --key "$T/mine.pem" --recipient "$T/offline.crt" --no-recovery
	[ ! -e "$S.key.pem" ]
	[ ! -e "$S.recovery.pem" ]
	mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	run -0 openssl cms -decrypt -inform PEM -inkey "$T/offline.key" -in "$T/sealed/devices/$UDID/token"
	assert_has "$output" "$UDID"
}

@test "a key inside the store is refused, a world-readable one, one that isn't the store's" {
	escrowfs init "$S"
	cp "$S.key.pem" "$S/key.pem"
	run -1 escrowfs mount "$S" "$M" -o "key=$S/key.pem"
	assert_has "$output" "$S/key.pem"
	ln -s "$S/key.pem" "$T/link.pem"
	run -1 escrowfs mount "$S" "$M" -o "key=$T/link.pem"
	rm "$S/key.pem"
	chmod 0644 "$S.key.pem"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" 'chmod'
	assert_has "$output" "$S.key.pem"
	chmod 0600 "$S.key.pem"
	escrowfs init "$T/other"
	run -1 escrowfs mount "$S" "$M" -o "key=$T/other.key.pem"
	assert_has "$output" "$T/other.key.pem"
	mount_again -o "key=$S.recovery.pem"
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "what is wrong with a file that an option named says by which option" {
	local none=$T/none pass=$T/pass
	names() { # names STATUS WORDS COMMAND...
		local words=$2
		run "-$1" escrowfs "${@:3}"
		assert_has "$output" "$words"
	}
	escrowfs init "$S" >"$T/init.out"
	set_token "$TOKEN_1" >"$T/set.plist"
	echo nonsense >"$T/nonsense"
	openssl x509 -in "$S.key.pem" >"$T/one.pem"
	install -m 0644 /dev/null "$pass"
	mkdir -m 0777 "$T/open"
	ln -s "$T/one.pem" "$T/open/link"

	names 1 " key=$none: there is no such file" mount "$S" "$M" -o "key=$none"
	names 1 " key: $none: " mount "$S" "$M" -o "key=file:$none"
	names 1 " the passphrase can't be used: passphrase-file=$pass: others" \
		mount "$S" "$M" -o "key=$S.key.pem,passphrase-file=$pass"
	names 1 " recipients=$none: " mount "$S" "$M" -o "recipients=$none"
	names 1 " recipients=$T/open/link: a symbolic link" mount "$S" "$M" -o "recipients=$T/open/link"
	names 1 " isn't in recipients=$T/one.pem: " mount "$S" "$M" -o "recipients=$T/one.pem"
	names 1 " --key $none: there is no such file" verify "$S" --key "$none"
	names 0 " --passphrase-file $pass: others" verify "$S" --passphrase-file "$pass"
	names 1 " --recipients $none: " import --recipients "$none" "$S" "$T/set.plist"
	names 1 " isn't in --recipients $T/one.pem: " restore --recipients "$T/one.pem" "$S" "$UDID" 1
	names 1 " isn't in --recipients $T/one.pem: " rekey --recipients "$T/one.pem" "$S"
	names 1 " --add $none: " rekey --add "$none" "$S"
	names 1 " --add $T/nonsense: no X.509" rekey --add "$T/nonsense" "$S"
	names 1 " --add $T/one.pem: " rekey --add "$T/one.pem" "$S"
	openssl req -x509 -newkey ed25519 -noenc -subj /CN=ed -days 9 -keyout "$T/ed.key" -out "$T/ed.pem"
	names 1 " --recipient $T/ed.pem: the certificate's key is neither" init "$T/new" --recipient "$T/ed.pem"
	names 1 " --recipient $none: " init "$T/new" --recipient "$none"
	names 1 " --key $none: " init "$T/new" --key "$none"
	names 1 " --passphrase-file $pass: others" init "$T/new" --passphrase-file "$pass"
	[ ! -e "$T/new" ]
}

@test "init . and init beside: the keys never lie in a store" {
	mkdir "$T/here"
	cd "$T/here"
	escrowfs init .
	[ -e "$T/here.key.pem" ]
	[ -e "$T/here.recovery.pem" ]
	[ -z "$(find "$T/here" -name '*.pem')" ]
	run -1 escrowfs init "$T/here/inner"
	assert_has "$output" inside
	[ ! -e "$T/here/inner" ]
	run -1 escrowfs init "$S" --key 'pkcs11:object=x?pin-value=SECRETPIN'
	[[ $output != *SECRETPIN* ]]
	assert_has "$output" pin-source
	[ ! -e "$S" ]
}

@test "a passphrase from a file or a systemd credential, never from the command line" {
	echo 'correct horse' >"$T/pass"
	chmod 600 "$T/pass"
	escrowfs init "$S" --passphrase-file "$T/pass"
	grep -q ENCRYPTED "$S.key.pem"
	run -1 escrowfs mount "$S" "$M" -f
	assert_has "$output" passphrase
	mount_again -o "passphrase-file=$T/pass"
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	mkdir "$T/credentials"
	cp "$T/pass" "$T/credentials/escrowfs.passphrase"
	CREDENTIALS_DIRECTORY=$T/credentials mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	echo wrong >"$T/pass"
	run -1 escrowfs mount "$S" "$M" -o "passphrase-file=$T/pass"
	assert_has "$output" "$S.key.pem"
}

@test "what isn't a store, a newer one, a directory that anybody may write to: refused by name" {
	run -1 escrowfs mount "$T/nothing" "$M"
	assert_has "$output" "$T/nothing"
	mkdir "$T/empty"
	run -1 escrowfs status "$T/empty"
	assert_has "$output" "$T/empty"
	mkdir -m 700 "$T/foreign"
	sqlite3 "$T/foreign/escrow.db" 'CREATE TABLE x (y)'
	run -1 escrowfs verify "$T/foreign"
	assert_has "$output" 'not a store'
	head -c 10000 /dev/urandom >"$T/foreign/escrow.db"
	run -1 escrowfs verify "$T/foreign"
	escrowfs init "$S"
	sqlite3 "$S/escrow.db" 'PRAGMA user_version = 99'
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" 'newer'
	assert_has "$output" "$S"
	sqlite3 "$S/escrow.db" 'PRAGMA user_version = 1'
	chmod 0777 "$S"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" chmod
}

@test "a mount point that isn't empty, isn't a directory, or is mounted; a second writing mount" {
	escrowfs init "$S"
	touch "$M/file"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" "$M"
	run -1 escrowfs mount "$S" "$M/file"
	rm "$M/file"
	mount_again
	run -1 escrowfs mount "$S" "$M"
	mkdir "$T/second"
	run -1 escrowfs mount "$S" "$T/second"
	assert_has "$output" "mounted on $M"
	escrowfs init "$T/other"
	run -1 escrowfs mount "$T/other" "$M"
	assert_has "$output" "$M"
}

@test "usage: exit 2, and --help exit 0" {
	run -2 escrowfs
	run -2 escrowfs nonsense
	run -2 escrowfs init
	run -2 escrowfs mount "$S"
	run -2 escrowfs mount "$S" "$M" -o nonsense
	assert_has "$output" nonsense
	run -2 escrowfs status --nonsense "$S"
	run -0 escrowfs --help
	for command in init mount import export history restore purge verify status; do
		assert_has "$output" "$command"
		escrowfs "$command" --help >/dev/null
	done
	escrowfs --version
}

@test "a command takes the options that it uses, and names the others: program, --help and manual agree" {
	python3 - "$ESCROWFS" "$BATS_TEST_DIRNAME/../../src/cli/escrowfs.8" <<'PY'
import re, subprocess, sys
program, manual = sys.argv[1:]
def said(*arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True)
manual = open(manual).read().split(".Sh SYNOPSIS\n")[1].split(".Sh DESCRIPTION")[0]
synopsis = {}
for entry in re.split(r"^\.Nm$", manual, flags=re.M):
    command = re.search(r"^\.Cm (\w+)$", entry, re.M)
    if command:
        synopsis.setdefault(command[1], set()).update(re.findall(r"Fl (-[a-z-]+)", entry))
commands = re.findall(r"^  escrowfs (\w+) ", said("--help").stdout, re.M)
helps = {c: {"-" + o for o in re.findall(r"^ +-(-[a-z-]+)", said(c, "--help").stdout, re.M)} for c in commands}
options = set().union(*helps.values())
assert {"--key", "--passphrase-file", "--recipients", "--dry-run", "--since", "--json", "--debug"} <= options, options
for command in commands:
    assert helps[command] == {"-" + o for o in synopsis[command]}, (command, helps[command], synopsis[command])
    for option in options:
        run = said(command, option, "1", "--nonsense")
        assert run.returncode == 2, (command, option, run)
        # (the first letters of one will do)
        unknown = "--nonsense" if any(o.startswith(option) for o in helps[command]) else option
        assert f"escrowfs: {command}: there is no option {unknown};" in run.stderr, (command, option, run)
PY
	escrowfs init "$S" >"$T/init.out"
	run -2 escrowfs history "$S" "$UDID" --key "$S.key.pem"
	assert_has "$output" 'there is no option --key;'
	run -2 escrowfs accept --passphrase-file="$T/pass" "$S"
	assert_has "$output" 'there is no option --passphrase-file'
	for option in key passphrase-file recipients; do
		run -2 escrowfs rekey "$S" --list --$option "$S.key.pem"
		assert_has "$output" "--list takes no --$option"
	done
}

@test "import: files, directories, a stream; beside a mount, which shows it; a broken one is named" {
	mount_new
	device
	cat "$D/bootstrap_status" "$D/security.json"
	mkdir "$T/in" "$T/in/deeper"
	set_token "$TOKEN_1" >"$T/in/one.plist"
	results SecurityInfo '<key>FDE_Enabled</key><true/>' OTHER >"$T/in/deeper/two.plist"
	run -0 escrowfs import "$S" "$T/in"
	eventually 30 grep -qx escrowed "$D/bootstrap_status"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	[ -e "$M/devices/OTHER" ]
	{ message Authenticate UDID=S-1 && message Authenticate UDID=S-2 && set_token "$TOKEN_2" S-3; } | escrowfs import "$S" -
	assert_equal "$(cat "$M/devices/S-3/token")" "$TOKEN_2"
	[ -e "$M/devices/S-1" ]
	[ -e "$M/devices/S-2" ]
	set_token 'bad!' >"$T/in/deeper/broken.plist"
	message Authenticate UDID=AFTER >"$T/in/last.plist"
	run -1 escrowfs import "$S" "$T/in"
	assert_has "$output" broken.plist
	[ -e "$M/devices/AFTER" ]
	run -1 escrowfs import "$S" "$T/nothing"
	assert_has "$output" "$T/nothing"
}

@test "import of a GetBootstrapToken retrieves nothing" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	get_token >"$T/get.plist"
	run -0 escrowfs import "$S" "$T/get.plist"
	[[ $output != *"$TOKEN_1"* ]]
	run -1 grep '"retrieve","outcome":"ok"' "$M/audit"
}

@test "status: devices by status, the checkpoint, who serves it, when certificates expire" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	run -0 escrowfs status "$S"
	assert_has "$output" "mounted on $M"
	assert_has "$(echo "$output" | tr -s ' ')" 'escrowed 1'
	assert_has "$output" "$(trail | python3 -c 'import json, sys; j = json.loads(sys.stdin.read()); print("%d:%s" % (j["seq"], j["chain"]))')"
	assert_has "$output" "$(openssl x509 -in "$S.key.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)"
	assert_has "$output" expires
}

@test "the name of a file forges no line of what is said, and no terminal obeys it" {
	local name=$'x\nescrowfs: all is well\033[2J\302\2332J \303\274' clean=$'x?escrowfs: all is well?[2J?2J \303\274'
	escrowfs init "$S" >/dev/null
	echo rubbish >"$T/$name"
	run -1 --separate-stderr escrowfs import "$S" "$T/$name"
	assert_equal "$(grep -c '' <<<"$stderr")" 1
	assert_has "$stderr" "escrowfs: $T/$clean: "
	run -1 --separate-stderr escrowfs verify "$T/$name"
	assert_equal "$(grep -c '' <<<"$stderr")" 1
	assert_has "$stderr" "$clean"
	run -2 --separate-stderr escrowfs status "$S" "$name"
	assert_equal "$(grep -c '' <<<"$stderr")" 1
	# A finding, too.
	set_token "$TOKEN_1" | escrowfs import "$S" - >/dev/null
	sqlite3 "$S/escrow.db" "PRAGMA ignore_check_constraints = 1; UPDATE device SET udid = 'A' || char(10) || 'all is well' || char(27) || '[2J'"
	run -1 --separate-stderr escrowfs verify "$S"
	assert_has "$output" 'A?all is well?[2J'
	run ! grep -q '^all is well' <<<"$output"
}

@test "what can't be printed is an error" {
	escrowfs init "$S" >/dev/null
	for what in "status $S" "verify $S" "rekey $S --list" --help --version 'import --help'; do
		status=0
		# shellcheck disable=SC2086 # words
		escrowfs $what >/dev/full 2>"$T/err" || status=$?
		assert_equal "$status" 1
		assert_has "$(cat "$T/err")" 'No space left on device'
	done
	# In one piece that is too large to be gathered before it is written: the reason is that of the write.
	local arguments=()
	for i in $(seq 40); do
		openssl req -x509 -key "$S.key.pem" -subj "/CN=recipient $i" -days 9 -out "$T/$i.pem"
		arguments+=(--add "$T/$i.pem")
	done
	escrowfs rekey "$S" "${arguments[@]}" >/dev/null
	[ "$(escrowfs status --json "$S" | wc -c)" -gt 4096 ]
	status=0
	escrowfs status --json "$S" >/dev/full 2>"$T/err" || status=$?
	assert_equal "$status" 1
	assert_has "$(cat "$T/err")" 'No space left on device'
	run -0 escrowfs status "$S" >&-
}

@test "a closed standard output is one that can't be printed to; a command with nothing to print minds nothing" {
	escrowfs init "$S" >/dev/null
	for what in "status $S" "status --json $S" "verify $S" "rekey $S --list" "history $S X" --help --version 'import --help'; do
		status=0
		# shellcheck disable=SC2086 # words
		escrowfs $what >&- 2>"$T/err" || status=$?
		assert_equal "$what: $status" "$what: 1"
	done
	escrowfs status "$S" >&- 2>"$T/err" || :
	assert_has "$(cat "$T/err")" 'standard output is closed'
	escrowfs mount "$S" "$M" <&- >&- 2>&-
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "status shows all of the mount point's name, as it shows the store's" {
	local odd=$T/$'mo\nunt' deep=$T json
	S=$T/$'st\nore'
	mkdir "$odd"
	escrowfs init "$S" >/dev/null
	escrowfs mount "$S" "$odd"
	# (What is wrong then is told once it is unmounted.)
	run escrowfs status "$S"
	json=$(escrowfs status --json "$S" | python3 -c 'import json, sys; print(json.load(sys.stdin)["served_by"])')
	umount "$odd"
	assert_has "$output" "store       $T/st?ore, "
	assert_has "$output" "mounted on $T/mo?unt"
	assert_has "$json" "mounted on $odd"
	# A long one, too.
	for _ in 1 2 3; do deep=$deep/$(printf 'd%.0s' $(seq 120)); done
	mkdir -p "$deep"
	eventually 50 escrowfs mount "$S" "$deep"
	run -0 escrowfs status "$S"
	assert_has "$output" "mounted on $deep"$'\n'
	umount "$deep"
}

@test "what init says to do next can be pasted, whatever the names" {
	S=$T/$'st ore\'s \n$HOME'
	printf 'correct horse\n' >"$T/pass, word"
	chmod 600 "$T/pass, word"
	escrowfs init "$S" --passphrase-file "$T/pass, word" --no-recovery >"$T/out"
	next=$(sed -n "s#^  escrowfs mount \(.*\)#escrowfs mount \1#p" "$T/out" | sed "s#/mnt/escrow#'$M'#")
	eval "$next"
	mountpoint "$M"
	device
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	# So can what others say to do.
	for what in status 'rekey --list'; do
		sqlite3 "$S/escrow.db" 'UPDATE store SET unclean = 1'
		escrowfs $what "$S" >"$T/out" 2>/dev/null || :
		next=$(grep -o "\`escrowfs rekey .*\`" "$T/out" | tr -d '`')
		eval "$next --passphrase-file '$T/pass, word'"
		assert_equal "$(sqlite3 "$S/escrow.db" 'SELECT unclean FROM store')" 0
	done
	# A plain one stays plain.
	escrowfs init "$T/plain" >"$T/out"
	grep -qx "  escrowfs mount $T/plain /mnt/escrow" "$T/out"
}

@test "init takes no directory that others use: it stays as it was, and the sentence names another" {
	mkdir -m 0750 "$T/lib"
	chgrp 12345 "$T/lib"
	run -1 escrowfs init "$T/lib"
	assert_has "$output" "name a new one, $T/lib/escrow say"
	assert_equal "$(stat -c '%a %u:%g' "$T/lib")" '750 0:12345'
	assert_equal "$(find "$T"/lib* -mindepth 1; find "$T" -name 'lib.*')" ''
	mkdir -m 0700 "$T/theirs"
	chown 12345:12345 "$T/theirs"
	run -1 escrowfs init "$T/theirs"
	assert_has "$output" 'for another user'
	assert_equal "$(stat -c '%a %u:%g' "$T/theirs")" '700 12345:12345'
	escrowfs init "$T/lib/escrow" >"$T/out"
	[ -e "$T/lib/escrow/escrow.db" ]
}

@test "a mount point in the store's place, and import's arguments the wrong way round: said as they are" {
	mount_new
	local what
	for what in status verify rekey "history $M X"; do
		[[ $what = *' '* ]] || what="$what $M"
		run -1 escrowfs $what
		assert_has "$output" "$M: not a store, but an escrow that is mounted: name the store"
	done
	mkdir "$T/sealed"
	escrowfs mount "$S" "$T/sealed" -o sealed
	run -1 escrowfs import "$T/sealed" "$S"
	assert_has "$output" 'an escrow that is mounted'
	assert_has "$output" '; STORE comes first, then SOURCE'
	run -1 escrowfs status "$T/sealed"
	assert_has "$output" 'an escrow that is mounted'
	mkdir "$T/in"
	run -1 escrowfs import "$T/in" "$S"
	assert_has "$output" "$T/in: not a store: it has no escrow.db; STORE comes first, then SOURCE"
	message Authenticate UDID=A >"$T/in/one.plist"
	run -1 escrowfs import "$T/in/one.plist" "$S"
	assert_has "$output" '; STORE comes first, then SOURCE'
	# Where it isn't that, it isn't said.
	run -1 escrowfs import "$T/in" "$T/in/one.plist"
	[[ $output != *'comes first'* ]]
}

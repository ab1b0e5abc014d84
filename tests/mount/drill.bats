#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # tests are subshells; the helper's words
# The drill: the machine has burned, with the store and its daily key. What is left is a backup and
# recovery.pem, and they bring back every token and its past: escrowfs-recovery(7), whose commands are run
# here as they stand there.

load helper

A=0E5C0A00-0003-4000-8000-000000000003 # has a token, two older ones, an ACL
B=0E5C0A00-0007-4000-8000-000000000007 # has a token, an older one; serial number C02EXAMPLE07
C=0E5C0A00-0010-4000-8000-000000000010 # had one, and was taken away

# A store with a past. `init` takes the arguments.
live() {
	escrowfs init "$S" "$@" >"$T/init.out"
	mount_again ${PASSPHRASE:+-o passphrase-file="$PASSPHRASE"}
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	echo "$TOKEN_1" >"$M/devices/$A/token"
	echo "$TOKEN_2" >"$M/devices/$A/token"
	echo "$TOKEN_1" >"$M/devices/$B/token"
	truncate -s 0 "$M/devices/$C/token"
	rmdir "$M/devices/$C"
	setfacl -m u:7:r "$M/devices/$A/token"
	chgrp 9 "$M/devices/$A" "$M/devices/$A/token"
}

# Backs it up, and notes what it should all be afterwards.
backup_with() { # backup_with COMMAND...
	X=$T/sealed R=$S.recovery.pem
	mkdir "$X"
	escrowfs mount "$S" "$X" -o sealed
	(cd "$X" && "$@")
	said "$X" >"$T/said"
	every_token "$X" >"$T/tokens"
	# (Two by hand: what OpenSSL makes of a tree is compared with what was put into it.)
	grep -qx "devices/$A/token $TOKEN_2" "$T/tokens"
	grep -qx "devices/$A/history/2.pem $TOKEN_1" "$T/tokens"
	(cd "$M/devices" && grep . -- */token) >"$T/current"
	umount "$X"
}

# Only recovery.pem is left, in a directory of its own.
burn() {
	unmount
	mkdir "$T/vault" "$T/machine"
	mv "$S.recovery.pem" "$T/vault/recovery.pem"
	rm -rf "$S" "$S".*
	S=$T/machine/new R=$T/vault/recovery.pem
}

# What a tree says of devices, but for when something was sealed or read.
said() {
	(cd "$1" && cat devices/*/security.json devices/*/bootstrap_status &&
		find devices removed | LC_ALL=C sort && find devices | LC_ALL=C sort | xargs getfacl -n)
}

# Each token of a tree and of its past, opened by OpenSSL and the recovery key alone.
every_token() {
	local pem
	(cd "$1" && find devices removed -type f \( -name token -o -name '*.pem' \) -size +0 | LC_ALL=C sort) |
		while read -r pem; do echo "$pem $(by_openssl "$1/$pem")"; done
}
by_openssl() { opened "$1" | reply_token; }
opened() { openssl cms -decrypt -inform PEM -inkey "$R" ${PASSPHRASE:+-passin "file:$PASSPHRASE"} -in "$1"; }

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }

# (A sanitizer's build says that it is one.)
no_complaint() { assert_equal "$(grep -v 'build for tests' <<<"$stderr")" ''; }

# The new store, mounted, is the old one, and nothing more is to be brought back.
is_back() { # is_back IMPORT-ARGUMENT...
	escrowfs mount "$S" "$X" -o sealed
	diff "$T/said" <(said "$X") # before a retrieval leaves its time there
	diff "$T/tokens" <(every_token "$X")
	umount "$X"
	diff "$T/current" <(cd "$M/devices" && grep . -- */token)
	run -0 --separate-stderr escrowfs verify ${PASSPHRASE:+--passphrase-file "$PASSPHRASE"} "$S"
	assert_has "$output" "$(wc -l <"$T/tokens") versions, $(wc -l <"$T/tokens") seals opened: nothing is wrong"
	run -0 --separate-stderr escrowfs import "$@"
	no_complaint
	assert_has "$output" ': 0 took effect'
	assert_equal "$(row 'tokens the same')" "$(wc -l <"$T/tokens")"
}

prepare() {
	export RESTIC_PASSWORD=password RESTIC_REPOSITORY=$T/restic RESTIC_CACHE_DIR=$T/cache
	export BORG_BASE_DIR=$T/home BORG_REPO=$T/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	PASSPHRASE=
}

with_restic() { restic init >/dev/null && restic backup . >/dev/null; }

# ---- from end to end ----

@test "restic's repository and recovery.pem: init --key, import and mount bring back every token and its past" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" >/dev/null
	cd "$T/vault" # as it is typed: a key without file: before it, or a path
	run -0 --separate-stderr escrowfs init --key recovery.pem "$S"
	run -0 --separate-stderr escrowfs import "$S" "$T/restored"
	no_complaint
	assert_equal "$(row 'tokens new') $(row refused)" "$(wc -l <"$T/tokens") 0"
	cd /
	mount_again
	is_back "$S" "$T/restored"
}

@test "the same with a recovery key under a passphrase" {
	PASSPHRASE=$T/passphrase
	(umask 077 && echo 'correct horse battery staple' >"$PASSPHRASE")
	live --passphrase-file "$PASSPHRASE"
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" >/dev/null
	run -1 escrowfs init --key "file:$R" --no-recovery "$S"
	assert_has "$output" 'the key is encrypted: name a file with its passphrase (--passphrase-file FILE'
	[ ! -e "$S" ]
	run -0 escrowfs init --key "file:$R" --passphrase-file "$PASSPHRASE" --no-recovery "$S"
	run -0 --separate-stderr escrowfs import --passphrase-file "$PASSPHRASE" "$S" "$T/restored"
	no_complaint
	mount_again -o passphrase-file="$PASSPHRASE"
	is_back --passphrase-file "$PASSPHRASE" "$S" "$T/restored"
}

@test "the same from borg" {
	live
	with_borg() { borg init -e none && borg create ::drill .; }
	backup_with with_borg
	burn
	mkdir "$T/restored"
	(cd "$T/restored" && borg extract --numeric-ids ::drill)
	run -0 escrowfs init --key "file:$R" --no-recovery "$S"
	run -0 escrowfs import "$S" "$T/restored"
	mount_again
	is_back "$S" "$T/restored"
}

@test "the same from tar's archives, a full one and an incremental one, into a store with a daily key of its own" {
	mkdir "$T/bin"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	live
	PATH=$T/bin:$PATH SEALED=$T/sealed "$EXAMPLES/backup-tar.sh" "$S" "$T/snar" "$T/escrow.1.tar"
	with_tar() { (cd / && PATH=$T/bin:$PATH SEALED=$T/sealed.2 "$EXAMPLES/backup-tar.sh" "$S" "$T/snar" "$T/escrow.2.tar"); }
	echo "$TOKEN_2" >"$M/devices/$B/token"
	backup_with with_tar
	burn
	mkdir "$T/restored"
	(cd "$T/restored" && for a in "$T"/escrow.*.tar; do
		tar -x --listed-incremental=/dev/null --acls --numeric-owner -f "$a"
	done)
	run -0 escrowfs init --no-recovery --recipient "$R" "$S"
	run -0 escrowfs import --key "$R" "$S" "$T/restored"
	# From here on the recovery key isn't needed.
	mv "$T/vault" "$T/offline"
	mount_again
	R=$T/offline/recovery.pem is_back "$S" "$T/restored"
}

# ---- less than all ----

@test "OpenSSL and recovery.pem open a token of a backup without escrowfs, and one of its past" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" >/dev/null
	cd "$T/restored"
	run -0 --separate-stderr opened "devices/$A/token"
	no_complaint
	assert_equal "$(by_openssl "devices/$A/token")" "$TOKEN_2"
	assert_equal "$(by_openssl "devices/$A/history/2.pem")" "$TOKEN_1"
	message=$(opened "devices/$A/token" | plistutil -f xml)
	assert_has "$message" '<string>SetBootstrapToken</string>'
	assert_has "$message" "<string>$A</string>"
	assert_has "$message" "$TOKEN_2"
	# By its serial number; and what was taken away.
	assert_equal "$(by_openssl search/serialnumber/c02example07/token)" "$TOKEN_1"
	assert_has "$(opened "removed/$C/history/1.pem" | plistutil -f xml)" "<string>$C</string>"
}

@test "one device out of the repository, into a store that knows it not" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" --include "/devices/$A" >/dev/null
	assert_equal "$(ls "$T/restored/devices")" "$A"
	run -0 escrowfs init --key "file:$R" --no-recovery "$S"
	run -0 --separate-stderr escrowfs import "$S" "$T/restored"
	no_complaint
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" '1 3 0'
	mount_again
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
	assert_equal "$(getfacl -cnE "$M/devices/$A/token" | grep '^user:7')" 'user:7:r--'
	# The rest of it, later, finds that one there.
	restic restore latest --target "$T/rest" >/dev/null
	run -0 escrowfs import "$S" "$T/rest"
	assert_equal "$(row 'devices new') $(row 'tokens the same') $(row refused)" '10 3 0'
	diff "$T/current" <(cd "$M/devices" && grep . -- */token)
}

@test "without the recovery key at hand tokens are kept sealed, and import says what opens them" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" >/dev/null
	run -0 escrowfs init --no-recovery --recipient "$R" "$S"
	run -0 escrowfs import "$S" "$T/restored"
	assert_equal "$(row 'tokens unverified')" "$(wc -l <"$T/tokens")"
	assert_has "$output" "No key here opens them"
	assert_has "$output" 'Import again with --key'
	mount_again
	run ! cat "$M/devices/$A/token"
	run -0 escrowfs import --key "$R" "$S" "$T/restored"
	assert_equal "$(row 'tokens unverified')" ''
	is_back "$S" "$T/restored"
}

# ---- the page ----

PAGE=$BATS_TEST_DIRNAME/../../src/cli/escrowfs-recovery.7

# The commands of a step, as they stand on the page.
step() { # step NAME
	awk -v name="$1" '$2 == "step:" && $3 == name { found = 1 }
		found && /^\.Ed/ { exit }
		body { print }
		found && /^\.Bd/ { body = 1 }' "$PAGE" | sed "s/\\\\(aq/'/g; s/\\\\e/\\\\/g"
}

# Runs them, in this test's directory: its places stand for those of the page.
follow() { # follow NAME
	step "$1" | sed -E "s|/(media/usb/)|$T/\\1|g; s|/(var/lib/escrowfs)|$T/\\1|g; s|/mnt/escrow|$M|g
		s|/(root)/|$T/\\1/|g; s|/run/|$T/run/|g; s|/srv/|$T/srv/|g; s|vault:escrow/|$T/srv/copy/|g
		s|UDID|$B|g; s|ARCHIVE|drill|g; s|FINGERPRINT|${FINGERPRINT-}|g; s|c02xk1abcdef|c02example07|g; s|C02XK1ABCDEF|C02EXAMPLE07|g" >"$T/step"
	[ -s "$T/step" ]
	bash -euo pipefail "$T/step"
}

# The page's world, with a backup by each program, before and after it burns.
page() {
	mkdir -p "$T/bin" "$T/media/usb" "$T/var/lib/escrowfs" "$T/root" "$T/run" "$T/srv/copy"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	ln -s "$EXAMPLES/backup.sh" "$T/bin/"
	PATH=$T/bin:$PATH
	export SEALED=$T/sealed
	unset RESTIC_REPOSITORY BORG_REPO
	S=$T/var/lib/escrowfs/escrow
	live "$@"
	every_program() {
		restic -r "$T/srv/restic" init >/dev/null && restic -r "$T/srv/restic" backup . >/dev/null
		borg init -e none "$T/srv/borg" && borg create "$T/srv/borg::drill" .
		rsync -aA ./ "$T/srv/copy/"
		tar -cf "$T/srv/escrow.tar" .
		for i in 1 2; do SEALED=$T/sealed.2 "$EXAMPLES/backup-tar.sh" "$S" "$T/snar" "$T/srv/escrow.$i.tar"; done
	}
	backup_with every_program
	mv "$R" "$T/media/usb/recovery.pem"
	R=$T/media/usb/recovery.pem
}

@test "page: one Mac is waiting, with each backup program" {
	page
	unmount
	follow key
	assert_has "$(follow find-restic)" "-> ../../devices/$B"
	assert_has "$(follow find-borg)" "-> ../../devices/$B"
	cd "$T/srv" # where escrow.tar is
	assert_has "$(follow find-tar)" "-> ../../devices/$B"
	assert_equal "$(follow find-directory)" "$T/srv/copy/devices/$B/security.json"
	local program
	for program in restic borg tar directory; do
		rm -f "$T/run/token.pem"
		follow "take-$program"
		assert_has "$(follow open)" "<string>$B</string>"
		assert_has "$(follow open-plistutil)" "$TOKEN_1"
		assert_equal "$(follow token)" "$TOKEN_1"
	done
}

@test "page: what is there says that a seal didn't open, or that there is none" {
	page
	unmount
	follow key
	follow take-restic
	local way
	escrowfs init "$T/other" >/dev/null
	cp "$T/other.recovery.pem" "$T/run/recovery.pem"
	for way in open token open-plistutil; do
		run ! follow "$way"
		assert_has "$output" 'Error decrypting CMS structure'
		assert_has "$output" "$([ "$way" = open-plistutil ] && echo 'ERROR: Input file is too small' || echo plistlib.InvalidFileException)"
	done
	: >"$T/run/token.pem"
	run ! follow token
	assert_has "$output" 'Expecting: CMS'
}

@test "page: only the daily key is lost" {
	page
	unmount
	rm "$S.key.pem"
	follow key
	follow key-only
	assert_equal "$(cat "$M/devices/$A/token")" "$TOKEN_2"
	run -0 --separate-stderr follow key-new
	FINGERPRINT=$(awk '$3 == "daily" { print substr($1, 1, 8) }' <<<"$output")
	follow key-retire
	unmount
	follow offline
	mount_again
	diff "$T/current" <(cd "$M/devices" && grep . -- */token)
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
}

@test "page: what each program restores is one and the same tree" {
	page
	unmount
	local program
	for program in restic borg rsync tar; do
		follow restored
		follow "restore-$program" >/dev/null
		diff -r --no-dereference "$T/srv/copy" "$T/root/restored"
		diff "$T/said" <(said "$T/root/restored")
		follow tidy
	done
}

@test "page: bringing all of it back" {
	page
	# The daily key is lost, and the store damaged; both are in the way.
	unmount
	rm "$S.key.pem"
	truncate -s 1000 "$S/escrow.db"
	follow key
	follow restored
	follow restore-restic >/dev/null
	follow aside
	follow init
	run -0 --separate-stderr follow import
	no_complaint
	assert_equal "$(row 'devices new') $(row 'tokens new') $(row refused)" "$(follow count-devices) $(follow count-tokens) 0"
	assert_equal "$(row 'tokens unverified')$(row 'not read')" ''
	follow mount
	assert_has "$(follow verify)" 'nothing is wrong'
	run -0 follow status
	# Each line of the backup's count, "N word", is one of the status, "word N".
	assert_equal "$(grep -cE '^ +[0-9]+ [a-z_]+$' <<<"$output")" 6
	while read -r n word; do grep -qE "^ +$word +$n\$" <<<"$output"; done < <(grep -E '^ +[0-9]+ [a-z_]+$' <<<"$output")
	follow trail
	cmp "$T/root/restored/audit" "$T/var/lib/escrowfs/audit.before"
	follow offline
	[ ! -e "$T/run/recovery.pem" ]
	mv "$T/root/restored" "$T/restored" # tidied away, but for the last comparison
	follow tidy
	is_back "$S" "$T/restored"
	assert_equal "$(follow one)" "$TOKEN_1"
	assert_has "$(follow backup)" 'snapshot'
	# The new backup is good for the next time.
	follow restored
	follow restore-restic >/dev/null
	diff "$T/tokens" <(every_token "$T/root/restored")
}

@test "page: a policy set before the import is what devices go on with; set after it, they keep their own" {
	page
	chmod 0640 "$M/policy/token"
	escrowfs mount "$S" "$X" -o sealed
	rsync -aA "$X/" "$T/root/restored/"
	umount "$X"
	unmount
	follow key
	follow aside
	local first mode
	for first in true false; do
		follow init
		follow mount
		if $first; then chmod 0640 "$M/policy/token"; fi
		follow import
		assert_equal "$(stat -c %a "$M/devices/$B/token")" 640
		chmod 0600 "$M/policy/token"
		mode=$(stat -c %a "$M/devices/$B/token")
		assert_equal "$first $mode" "$($first && echo true 600 || echo false 640)"
		unmount
		rm -rf "$T/var/lib/escrowfs"/escrow*
	done
}

@test "page: the same with a passphrase" {
	PASSPHRASE=$T/passphrase
	(umask 077 && echo 'correct horse battery staple' >"$PASSPHRASE")
	page --passphrase-file "$PASSPHRASE"
	unmount
	assert_has "$(head -n 1 "$R")" ENCRYPTED
	follow key
	follow passphrase <"$PASSPHRASE"
	follow restored
	follow restore-restic >/dev/null
	follow aside
	follow init
	run -1 follow import
	assert_has "$output" 'the key is encrypted: name a file with its passphrase'
	sed -i "s|escrowfs import|& --passphrase-file $T/run/passphrase|" "$T/step"
	bash -e "$T/step"
	follow mount
	# The new daily key has none.
	diff "$T/current" <(cd "$M/devices" && grep . -- */token)
	follow take-restic
	PASSPHRASE=$T/run/passphrase R=$T/run/recovery.pem
	assert_has "$(opened "$T/run/token.pem" | plistutil -f xml)" "<string>$B</string>"
	follow offline
	[ ! -e "$T/run/passphrase" ]
}

@test "page: practising, beside the escrow" {
	page
	local before
	before=$(lines)
	follow key
	run -0 follow practise
	assert_has "$output" 'nothing is wrong'
	assert_equal "$(row 'tokens new') $(row refused)" "$(wc -l <"$T/tokens") 0"
	assert_equal "$(lines)" "$before"
	follow practise-compare
	assert_equal "$(lines)" "$((before + 1))"
	follow practise-end
	[ ! -e "$T/root/drill" ] && [ ! -e "$T/run/recovery.pem" ]
	[ -e "$S.key.pem" ]
}

@test "page: a device is restored again, and import takes what was refused" {
	page
	unmount
	follow key
	follow restored
	follow restore-restic >/dev/null
	: >"$T/root/restored/devices/$B/token"
	follow aside
	follow init
	run -1 follow import
	assert_has "$output" "$B/token: it is empty, and should hold a seal: restore it from the backup again"
	follow again >/dev/null
	run -0 escrowfs import --key "$T/run/recovery.pem" "$S" "$T/root/again"
	follow mount
	diff "$T/current" <(cd "$M/devices" && grep . -- */token)
}

@test "page: each of its commands is run here, and each sentence that it explains is one" {
	local mark sentence
	while read -r mark; do
		grep -qE "follow \"?($mark|${mark%%-*}-\\\$program)\"?( |\)|\$)" "$BATS_TEST_FILENAME" || { echo "step $mark isn't run" && false; }
	done < <(sed -n 's/^\.\\" step: //p' "$PAGE")
	assert_equal "$(grep -c '^\.Bd' "$PAGE")" "$(grep -c '^\.\\" step: ' "$PAGE")"
	while read -r sentence; do
		sentence=${sentence#init: }
		grep -aqF -- "${sentence%%...*}" "$ESCROWFS" || { echo "nothing says: $sentence" && false; }
	done < <(sed -n '/^\.Sh WHEN SOMETHING/,/^\.Sh PRACTISE/s/^\.It "\(.*\)"$/\1/p' "$PAGE" | grep -vE '^(openssl|python3|plistutil):')
}

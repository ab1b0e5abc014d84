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
said() { (cd "$1" && cat devices/*/security.json devices/*/bootstrap_status && getfacl -Rn devices && find devices removed); }

# Each token of a tree and of its past, opened by OpenSSL and the recovery key alone.
every_token() {
	local pem
	(cd "$1" && find devices removed -type f \( -name token -o -name '*.pem' \) -size +0 | LC_ALL=C sort) |
		while read -r pem; do echo "$pem $(by_openssl "$1/$pem")"; done
}
# As escrowfs-recovery(7) has it.
by_openssl() {
	openssl cms -decrypt -inform PEM -inkey "$R" ${PASSPHRASE:+-passin "file:$PASSPHRASE"} -in "$1" |
		sed '1,/<data>/d; /<\/data>/,$d' | tr -d ' \t\r\n'
}

# A number in the table that import prints.
row() { awk -v name="$1" '{ n = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, ""); if ($0 == name) print n }' <<<"$output"; }

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
	assert_equal "$stderr" ''
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
	assert_equal "$stderr" ''
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
	assert_equal "$stderr" ''
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

@test "OpenSSL and recovery.pem alone open a token of a backup, and one of its past" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" >/dev/null
	cd "$T/restored"
	run -0 --separate-stderr openssl cms -decrypt -inform PEM -in "devices/$A/token" -inkey "$R"
	assert_equal "$stderr" ''
	assert_has "$output" '<string>SetBootstrapToken</string>'
	assert_has "$output" "<string>$A</string>"
	assert_has "$output" "$TOKEN_2"
	run -0 openssl cms -decrypt -inform PEM -in "devices/$A/history/2.pem" -inkey "$R"
	assert_has "$output" "$TOKEN_1"
	assert_equal "$(by_openssl "devices/$A/token")" "$TOKEN_2"
	# By its serial number; and what was taken away.
	assert_equal "$(by_openssl search/serialnumber/c02example07/token)" "$TOKEN_1"
	run -0 openssl cms -decrypt -inform PEM -in "removed/$C/history/1.pem" -inkey "$R"
	assert_has "$output" "<string>$C</string>"
}

@test "one device out of the repository, into a store that knows it not" {
	live
	backup_with with_restic
	burn
	restic restore latest --target "$T/restored" --include "/devices/$A" >/dev/null
	assert_equal "$(ls "$T/restored/devices")" "$A"
	run -0 escrowfs init --key "file:$R" --no-recovery "$S"
	run -0 --separate-stderr escrowfs import "$S" "$T/restored"
	assert_equal "$stderr" ''
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

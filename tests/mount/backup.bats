#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012,SC2154 # tests are subshells; UDID is a plain word
# Backup programs over sealed mounts, each from a new mount: by their own counters they read again what
# changed and nothing else, and what they bring back is what was mounted.

load helper

A=0E5C0A00-0003-4000-8000-000000000003 # has a token
B=0E5C0A00-0005-4000-8000-000000000005 # has none
C=0E5C0A00-0010-4000-8000-000000000010 # has one, and is taken away

prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	setfacl -m u:7:r "$M/devices/$A/token"
	chmod 0640 "$M/policy/token"
	X=$T/sealed
	mkdir "$X"
	export RESTIC_PASSWORD=password RESTIC_REPOSITORY=$T/restic RESTIC_CACHE_DIR=$T/cache
	export BORG_BASE_DIR=$T/home BORG_REPO=$T/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	export TZ=UTC
}

# A new sealed mount in place of the last.
seal() {
	if mountpoint -q "$X"; then umount "$X"; fi
	MOMENT=$(date '+%s %N')
	escrowfs mount "$S" "$X" -o sealed
}

# ---- what changes ----

# A new token for A, facts for B, and C is taken away.
change() {
	echo "$TOKEN_1" >"$M/devices/$A/token"
	echo '{"OSVersion": "12.7.7"}' >"$M/devices/$B/security.json"
	truncate -s 0 "$M/devices/$C/token"
	rmdir "$M/devices/$C"
}

# The files of which there is something new then.
changed() {
	cat <<-END
		audit
		devices/$A/history/1.pem
		devices/$A/security.json
		devices/$A/token
		devices/$B/security.json
		removed/$C/history/1.pem
		removed/$C/security.json
	END
}

# Everything is sealed to one more key: all seals are others then, and nothing else is.
rekey() {
	umount "$X" # or it would be waited for
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj /CN=another \
		-keyout "$T/another.pem" -out "$T/another.crt" 2>/dev/null
	escrowfs rekey "$S" --add "$T/another.crt" >"$T/rekey.out"
}
rekeyed() { (cd "$X" && find audit devices removed -name audit -o -name '*.pem' -o -name token -size +0) | LC_ALL=C sort; }

# All that a restore is about (modes and owners are in the ACLs).
picture() { # picture DIR
	(cd "$1" && find . \( -type f -printf '%P %m %U %G %T@\n' -o -printf '%P %y %l\n' \) | LC_ALL=C sort &&
		find . -type d -o -type f | LC_ALL=C sort | xargs getfacl -n)
}

is_restored() { # is_restored DIR
	diff -r --no-dereference "$X" "$1"
	diff <(picture "$X") <(picture "$1")
}

# PROGRAM_first makes the first backup of $X, PROGRAM_next one more and prints which files it read, as far as
# it says so itself; PROGRAM_restore DIR brings the last one back.
cycle() {
	local program=$1
	seal
	"${program}_first"
	seal
	assert_equal "$("${program}_next")" ''
	change
	seal
	assert_equal "$("${program}_next")" "$(changed)"
	rekey
	seal
	assert_equal "$("${program}_next")" "$(rekeyed)"
	seal
	assert_equal "$("${program}_next")" ''
	mkdir "$T/out"
	"${program}_restore" "$T/out"
	is_restored "$T/out"
}

# ---- the programs ----

rsync_next() {
	rsync -aA --delete --stats --out-format='%i %n' "$X/" "$T/copy/" >"$T/said"
	sed -n 's/^>f[^ ]* //p' "$T/said" | LC_ALL=C sort >"$T/read"
	grep -qx "Number of regular files transferred: $(wc -l <"$T/read")" "$T/said"
	cat "$T/read"
}
rsync_first() { rsync_next | grep -qx audit; }
rsync_restore() { rsync -aA "$T/copy/" "$1/"; }

# As backup-tar.sh does it, but for the minute.
tar_next() {
	local archive
	archive=$T/tar.$(find "$T" -name 'tar.*' | wc -l)
	tar -C "$X" --create --file="$archive" --format=posix --acls --no-check-device \
		--listed-incremental="$T/snar" .
	sed -z -i "1s/[0-9]*\$/${MOMENT% *}/; 2s/.*/${MOMENT#* }/" "$T/snar"
	tar -tf "$archive" | sed -n 's|^\./||; /[^/]$/p' | grep -v ^search/ | LC_ALL=C sort
}
tar_first() { tar_next | grep -qx audit; }
tar_restore() {
	local i
	for i in "$T"/tar.?; do
		tar -C "$1" --extract --file="$i" --listed-incremental=/dev/null --acls --numeric-owner --same-owner
	done
}

restic_next() {
	local files
	(cd "$X" && restic backup -v -v .) >"$T/said"
	awk '/^(new|modified) /{ sub("^/", "", $2); sub(",$", "", $2); if ($2 ~ /[^\/]$/) print $2 }' "$T/said" | grep -v ^search/ |
		LC_ALL=C sort >"$T/read"
	files=$(find "$X" -type f | wc -l)
	read -r new modified unmodified < <(sed -n 's/^Files: *\([0-9]*\) new, *\([0-9]*\) changed, *\([0-9]*\) unmodified/\1 \2 \3/p' "$T/said")
	assert_equal "$((new + modified)) of $((new + modified + unmodified))" "$(wc -l <"$T/read") of $files"
	cat "$T/read"
}
restic_first() {
	restic init >/dev/null
	restic_next | grep -qx audit
}
restic_restore() { restic restore latest --target "$1"; }

# The newest file is one of its own: borg doesn't remember the newest ones that it saw.
borg_next() {
	touch "$T/now"
	(cd "$X" && borg create --list --filter AMU "::$(date +%s%N)" . "$T/now") 2>"$T/said"
	sed -n 's/^[AM] //p' "$T/said" | grep -v "^$T/now" | LC_ALL=C sort >"$T/read"
	assert_equal "$(($(grep -c '^U ' "$T/said") + $(wc -l <"$T/read")))" "$(find "$X" -type f | wc -l)" >&2
	cat "$T/read"
}
borg_first() {
	borg init -e none
	borg_next | grep -qx audit
}
borg_restore() { (cd "$1" && borg extract --numeric-ids "::$(borg list --short --last 1)" --exclude "${T#/}") }

@test "rsync -a" {
	cycle rsync
}

@test "tar --listed-incremental" {
	cycle tar
}

@test "restic" {
	cycle restic
}

@test "borg" {
	cycle borg
}

@test "tar: what came after the mount and before tar's start is in the next one, if it is told the mount's moment" {
	seal
	echo "$TOKEN_1" >"$M/devices/$A/token"
	tar_next >/dev/null
	seal
	assert_equal "$(tar_next)" "$(printf '%s\n' audit "devices/$A/history/1.pem" "devices/$A/security.json" "devices/$A/token")"
}

# ---- one point in time ----

# Each byte, name, number, size, mode, owner, time and ACL, in the order of the directories.
cat_all() {
	cat <<-'END'
		cd "$1"
		find . -printf '%P %i %y %n %s %m %U %G %T@ %C@ %l\n'
		find . -type f -exec sha256sum {} +
		find . ! -type l -exec getfacl -n {} +
	END
}

@test "the writing mount goes on while tar reads, and tar sees one moment" {
	local before udid
	seal
	before=$(bash -ec "$(cat_all)" - "$X")
	# The pipe stands still in the middle, until all tokens are others.
	tar -C "$X" -cf - . | {
		head -c 20480
		for udid in "$A" "$C" "$B"; do echo "$TOKEN_2" >"$M/devices/$udid/token"; done
		cat
	} >"$T/tar.0"
	tar -C "$X" -df "$T/tar.0"
	assert_equal "$(bash -ec "$(cat_all)" - "$X")" "$before"
	mkdir "$T/next"
	escrowfs mount "$S" "$T/next" -o sealed
	assert_equal "$(diff -rq --no-dereference "$X" "$T/next" | grep -c '/token differ')" 3
}

@test "two of an unchanged store are alike in everything, made by root and by a user of the store's group, on different days" {
	# As the manual says.
	chgrp 4321 "$S" "$S"/escrow.db*
	chmod 2750 "$S"
	chmod 0640 "$S"/escrow.db*
	seal
	bash -ec "$(cat_all)" - "$X" >"$T/root"
	umount "$X"

	chown bin "$X"
	cp "$ESCROWFS" "$T/escrowfs" # where everybody may run it
	# Everybody may open /dev/fuse on most machines; here, in a mount namespace of its own, whatever this one has.
	mknod -m 0666 "$T/fuse" c 10 229
	cat >"$T/script" <<-END
		PATH=$PATH
		faketime '40 days' date +%Y-%m-%d
		faketime '40 days' $T/escrowfs mount $S $X -o sealed
		list() { $(cat_all); }
		(list $X) >&5
		fusermount3 -u $X
	END
	ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0 run -0 --separate-stderr unshare --mount --propagation private bash -euc "
		mount --bind '$T/fuse' /dev/fuse
		setpriv --reuid=bin --regid=bin --groups=bin,4321 --inh-caps=-all bash -euo pipefail '$T/script'" 5>"$T/user"
	assert_equal "$output" "$(date -d '40 days' +%Y-%m-%d)"
	assert_equal "$(grep -v 'build for tests' <<<"$stderr")" ''
	diff "$T/root" "$T/user"
}

@test "before any mount has served a store, it shows all as its directory's owner's, whoever mounts it" {
	unmount
	escrowfs init "$T/new" >/dev/null
	chown -R bin:4321 "$T/new"
	escrowfs mount "$T/new" "$X" -o sealed
	assert_equal "$(stat -c %U:%g "$X/devices" "$X/audit" | uniq)" bin:4321
}

# ---- the cost ----

@test "the log of the serving mount says when a sealed one has let the store's grow, once, and again at its double" {
	unmount
	escrowfs mount -f "$S" "$M" 2>"$T/log" 3>&- &
	eventually 100 grep -q serving "$T/log"
	seal
	assert_equal "$(grep '^escrowfs_store_log_bytes ' "$M/metrics")" "escrowfs_store_log_bytes $(stat -c %s "$S/escrow.db-wal")"
	run ! grep 'log has grown' "$T/log"
	# What lies behind the log's end is nothing to SQLite.
	truncate -s 300M "$S/escrow.db-wal"
	eventually 50 grep -q "$S: the store's log has grown to 300 MiB.*unmount" "$T/log"
	truncate -s 500M "$S/escrow.db-wal"
	sleep 1.5 # longer than it takes to look
	truncate -s 600M "$S/escrow.db-wal"
	eventually 50 grep -q 'has grown to 600 MiB' "$T/log"
	assert_equal "$(grep -c 'log has grown' "$T/log")" 2
}

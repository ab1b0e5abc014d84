#!/usr/bin/env bats
# shellcheck disable=SC2013,SC2154 # UDIDs have no blanks; stderr is what run --separate-stderr sets
# What lies in examples/: the scripts, the sample messages, the rules and units, and `make run`.

load helper

MACOS_12=0E5C0A00-0005-4000-8000-000000000005
MACOS_14=0E5C0A00-0007-4000-8000-000000000007

prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
	export ESCROW=$M
}

example() {
	local script=$1
	shift
	"$EXAMPLES/$script" "$@"
}

@test "the sample messages end in the table of examples/README" {
	run -0 grep -E '^  0E5C0A00' "$EXAMPLES/README"
	assert_equal "${#lines[@]}" 12
	local line udid word
	for line in "${lines[@]}"; do
		read -r udid word < <(awk '{ print $1, $4 }' <<<"$line")
		[ -n "$word" ]
		assert_equal "$udid $(status_of "$udid")" "$udid $word"
	done
}

@test "the README's groups: one feeds messages, one sees who has a token, one reads tokens" {
	sed -n '/^\*\*Let the right ones in/,/^\*\*Tell/s/^    //p' "$EXAMPLES/../README.md" |
		sed "s,/mnt/escrow,$M,; s/mdm/2001/; s/helpdesk/2002/; s/deskside/2003/" >"$T/let-in"
	assert_equal "$(wc -l <"$T/let-in")" 5
	bash -e "$T/let-in"
	local d=$M/devices/$MACOS_14 group
	set_token "$TOKEN_2" "$MACOS_14" | as 4711:2001 dd of="$M/checkin" conv=notrunc status=none
	assert_equal "$(as 4711:2003 cat "$d/token")" "$TOKEN_2"
	assert_equal "$(as 4711:2002 cat "$M/search/serialnumber/c02example07/bootstrap_status" "$d/bootstrap_status")" $'escrowed\nescrowed'
	as 4711:2002 grep -q C02EXAMPLE07 "$d/security.json"
	as 4711:2002 ls "$M/devices" | grep -qx "$MACOS_14"
	for group in 2001 2002 4711; do run -1 as 4711:"$group" cat "$d/token"; done
	for group in 2002 2003; do run -1 as 4711:"$group" cat "$M/checkin"; done
	run -1 as 4711:2003 truncate -s 0 "$d/token"
}

@test "escrow.sh: by serial number and by UDID, in any case of letters" {
	echo "$TOKEN_1" | run -0 example escrow.sh C02EXAMPLE05
	assert_equal "$(cat "$M/devices/$MACOS_12/token")" "$TOKEN_1"
	run -0 example escrow.sh c02example05 <<<"$TOKEN_2"
	assert_has "$output" escrowed
	assert_equal "$(cat "$M/devices/$MACOS_12/token")" "$TOKEN_2"
	run -0 example escrow.sh "${MACOS_12,,}" <<<"$TOKEN_1"
	assert_equal "$(cat "$M/devices/$MACOS_12/token")" "$TOKEN_1"
}

@test "escrow.sh: what is refused exits 1, an unknown device 3, wrong usage 2" {
	run -1 example escrow.sh C02EXAMPLE05 <<<'not base64!'
	assert_equal "$(status_of "$MACOS_12")" not_escrowed
	run -1 example escrow.sh C02EXAMPLE04 <<<"$TOKEN_1" # not eligible
	assert_has "$output" refused
	run -3 example escrow.sh NOBODY <<<"$TOKEN_1"
	run -1 example escrow.sh C02EXAMPLE05 </dev/null
	assert_has "$output" 'no token was escrowed for C02EXAMPLE05'
	run -1 as 4711 env ESCROW="$M" "$EXAMPLES/escrow.sh" C02EXAMPLE05 <<<"$TOKEN_1"
	setfacl -m u:4711:x "$M/search" "$M/policy/device" "$M/devices"
	run -1 as 4711 env ESCROW="$M" "$EXAMPLES/escrow.sh" C02EXAMPLE05 <<<"$TOKEN_1"
	assert_has "$output" "this user may not write $M/search/serialnumber/C02EXAMPLE05/token"
	run -2 example escrow.sh <<<"$TOKEN_1"
	run -2 example escrow.sh ../.. <<<"$TOKEN_1"
}

@test "escrow.sh passes a message on as it is" {
	set_token "$TOKEN_2" "$MACOS_12" | example escrow.sh C02EXAMPLE05
	assert_equal "$(cat "$M/devices/$MACOS_12/token")" "$TOKEN_2"
}

@test "retrieve.sh: prints the token; 4 when there is none, 3 an unknown device, 2 wrong usage" {
	run -0 example retrieve.sh C02EXAMPLE07
	assert_equal "$output" "$(cat "$M/devices/$MACOS_14/token")"
	run -0 --separate-stderr example retrieve.sh C02EXAMPLE08
	assert_has "$stderr" 'C02EXAMPLE08 was set up anew since'
	assert_equal "$output" "$(cat "$M/search/serialnumber/c02example08/token")"
	run -0 example retrieve.sh "$MACOS_14"
	assert_equal "$(printf %s "$output" | wc -l)" 0
	local before
	before=$(lines)
	run -4 example retrieve.sh C02EXAMPLE05
	assert_equal "$(lines)" "$before"
	run -3 example retrieve.sh NOBODY
	run -2 example retrieve.sh
	run -2 example retrieve.sh a/b
}

@test "retrieve.sh: 1 when the kernel says no" {
	chmod 0755 "$M/search" "$M/devices" "$M/policy/device"
	chmod 0644 "$M/policy/security.json"
	run -1 as 1234 env ESCROW="$M" "$EXAMPLES/retrieve.sh" "$MACOS_14"
	assert_has "$output" 'Permission denied'
}

@test "report.sh: who has no token, oldest enrolment first, with the reason" {
	run -1 example report.sh
	assert_equal "$(cut -f2 <<<"$output" | sort | uniq -c | awk '{ print $2 $1 }' | tr '\n' ' ')" \
		'not_eligible3 not_escrowed1 stale1 '
	cut -f1 <<<"$output" | LC_ALL=C sort -c
	assert_has "$(grep "$MACOS_12" <<<"$output")" "not_escrowed	C02EXAMPLE05	$MACOS_12	No token is escrowed"
	# with nobody left it says nothing and exits 0
	local udid
	for udid in $(cut -f4 <<<"$output"); do
		echo '{"UserApprovedEnrollment": true, "EnrolledViaDEP": true}' >"$M/devices/$udid/security.json"
		echo "$TOKEN_1" >"$M/devices/$udid/token" || rmdir "$M/devices/$udid"
	done
	run -0 example report.sh
	assert_equal "$output" ''
	unmount
	run -2 example report.sh
}

@test "the audit rule is one that auditctl takes" {
	run -0 grep -vE '^(#|$)' "$EXAMPLES/escrowfs.rules"
	local rule
	for rule in "${lines[@]}"; do
		[[ $rule =~ ^-a\ always,exit\  ]]
		assert_has "$rule" ' -F exit=-EACCES '
		assert_has "$rule" ' -F dir=/mnt/escrow '
		assert_has "$rule" ',openat,'
	done
}

# For the examples that call escrowfs.
in_path() {
	mkdir "$T/bin"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	PATH=$T/bin:$PATH
	export SEALED=$T/sealed
}

nothing_is_left() { ! grep -q " $SEALED " /proc/mounts && [ ! -e "$SEALED" ]; }

@test "backup.sh: runs a program in a sealed mount, keeps its exit status, and unmounts whatever happens" {
	in_path
	run -0 --separate-stderr example backup.sh "$S" sh -c 'pwd; ls; head -n 1 devices/*-0007-*/token'
	assert_equal "$output" "$SEALED"$'\n'"audit"$'\n'"devices"$'\n'"removed"$'\n'"search"$'\n'"-----BEGIN CMS-----"
	nothing_is_left
	run -7 example backup.sh "$S" sh -c 'exit 7'
	nothing_is_left
	run -127 example backup.sh "$S" no-such-program
	nothing_is_left
	# shellcheck disable=SC2016 # its own parent
	run -143 example backup.sh "$S" sh -c 'kill -TERM $PPID'
	nothing_is_left
}

@test "backup.sh: 125 when it is called wrongly, there is no store, or another runs; what a killed one left is taken over" {
	in_path
	run -125 example backup.sh "$S"
	run -125 example backup.sh "$T/nowhere" true
	assert_has "$output" 'there is no store'
	nothing_is_left
	run -125 example backup.sh "$S" "$EXAMPLES/backup.sh" "$S" true
	assert_has "$output" 'in use by another backup'
	SEALED=$T/nowhere/at/all run -125 example backup.sh "$S" true
	mkdir "$SEALED"
	escrowfs mount -o sealed "$S" "$SEALED"
	run -0 example backup.sh "$S" ls
	assert_has "$output" devices
	nothing_is_left
}

@test "backup.sh: what its comment says of restic, borg and rsync; the second time nothing is read again" {
	in_path
	export RESTIC_PASSWORD=password RESTIC_CACHE_DIR=$T/cache BORG_BASE_DIR=$T/home
	export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	local files
	files=$(find "$M/devices" -type f | wc -l)
	restic init --repo "$T/restic"
	borg init -e none "$T/borg"
	restic() { example backup.sh "$S" restic -r "$T/restic" backup .; }
	borg() { example backup.sh "$S" borg create --list --filter AM "$T/borg::{now:%f}" . "$SEALED.now"; }
	rsync() { example backup.sh "$S" rsync -aA --delete --stats ./ "$T/copy/"; }
	run -0 restic
	run -0 restic
	assert_has "$(tr -s ' ' <<<"$output")" "Files: 0 new, 0 changed, $((files + 1)) unmodified"
	run -0 borg
	run -0 borg
	assert_equal "$(grep '^[A-Z] ' <<<"$output")" "A $SEALED.now"
	run -0 rsync
	run -0 rsync
	assert_has "$output" 'Number of regular files transferred: 0'
	nothing_is_left
}

@test "backup-tar.sh: archive after archive, each with what is new; together they are the mount" {
	in_path
	run -0 example backup-tar.sh "$S" "$T/snar" "$T/escrow.1.tar"
	[ "$(sed -zn '1s/.*[^0-9]//p' "$T/snar" | tr -d '\0')" -lt "$(date +%s)" ]
	echo "$TOKEN_1" >"$M/devices/$MACOS_12/token"
	run -0 example backup-tar.sh "$S" "$T/snar" "$T/escrow.2.tar"
	assert_has "$(tar -tf "$T/escrow.2.tar")" "./devices/$MACOS_12/token"
	# One that fails changes nothing for the next.
	cp "$T/snar" "$T/before"
	run -2 example backup-tar.sh "$S" "$T/snar" /dev/full
	cmp "$T/snar" "$T/before"
	run -125 example backup-tar.sh "$T/nowhere" "$T/snar" "$T/escrow.3.tar"
	cmp "$T/snar" "$T/before"
	mkdir "$T/out" "$SEALED"
	(cd "$T/out" && for a in "$T"/escrow.*.tar; do tar -x --listed-incremental=/dev/null --acls -f "$a"; done)
	escrowfs mount -o sealed "$S" "$SEALED"
	diff -r --no-dereference "$SEALED" "$T/out"
}

@test "make run: a walk through an escrow, and make stop takes it away" {
	mkdir "$T/bin"
	ln -s "$ESCROWFS" "$T/bin/escrowfs"
	export DEMO=$T/demo ESCROW=$T/escrow
	run -0 "$EXAMPLES/demo.sh" start "$T/bin"
	assert_has "$output" 'bootstrap_status:escrowed'
	assert_has "$output" 'Operation not permitted'
	assert_has "$output" 'Permission denied'
	assert_has "$output" '<key>BootstrapToken</key>'
	assert_has "$output" '"action":"retrieve"'
	[ -e "$ESCROW/checkin" ]
	# once more begins anew
	run -0 "$EXAMPLES/demo.sh" start "$T/bin"
	[ -e "$ESCROW/checkin" ]
	run -0 "$EXAMPLES/demo.sh" stop "$T/bin"
	[ ! -e "$ESCROW" ] && [ ! -e "$DEMO" ]
}

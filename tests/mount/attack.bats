#!/usr/bin/env bats
# What somebody who means harm does, and what becomes of it. Every attack that is known has a test; those that
# stand elsewhere are in the table too, and the last test here sees to it that each one named is there.
#
# attack                                        file                 test
# a trail cut short, or chained anew            attack.bats          a trail that was cut short, chained anew or put back: verify --since
# all tokens read by who may read them          attack.bats          a limit on retrievals: root's rsync ends there
# many readers at once, past that limit         attack.bats          a limit on retrievals holds among many
# a changed client certificate                  attack.bats          a changed client certificate gets no token until
# the same, where nobody asked for strictness   attack.bats          without identity=strict a changed certificate
# a recipient slipped into the database         attack.bats          a recipient slipped into the database refuses the mount
# the same, where no file pins them             attack.bats          a recipient slipped into the database, or taken out, is what
# the file that pins them, changed by others    attack.bats          recipients=FILE: a file that could be the thief's
# a link or FIFO in place of the key            attack.bats          a link or FIFO in place of the key
# a link or FIFO in place of the store          attack.bats          a link or FIFO in place of the store
# a link or FIFO in place of the export         attack.bats          a link or FIFO in place of the export directory
# a world-writable store                        attack.bats          a store that anybody may write to
# a blob moved to another device                token_read.bats      a damaged blob, and one of another device
# the same with its row, mac and digest         attack.bats          a version moved to another device with all
# an old version put back by hand               token_read.bats      an older version put in the place of the current one
# the same with its mac and digest              attack.bats          an old version put back by hand under a new number
# an old version made current by its row        attack.bats          an old version made the current one again by hand
# the store mended again after that             attack.bats          an old version made the current one again by hand
# a certificate bound to a Mac by hand          attack.bats          a certificate bound to a Mac by hand
# a Mac's name pointed at another device        verify.bats          names: each is its device's
# owners and modes changed in the database      verify.bats          owners, modes and ACLs: what the trail says
# when versions ended, or came, by hand         verify.bats          versions: which is current
# a seal made anew by who had opened it         audit.bats           verify finds a seal that isn't the one on the trail
# a line changed, taken out or moved            audit.bats           verify finds a changed, a missing, a doubled
# a replayed older token                        token_write.bats     the same token is a confirmation, an older one a replay
# mkdir and rmdir while a device is written     attack.bats          a device taken away and made again while it is written
# a neighbour's token by an old inode           tree.bats            numbers are never used again
# a right revoked between open and read         attack.bats          a reader whose right is taken away between open
# a right revoked, with all that is cached      gate.bats            revocation is at once
# somebody else's descriptor, by /proc          gate.bats            /proc/self/fd of somebody else's descriptor
# page-cache reads of token                     token_read.bats      never through the page cache
# a feeder with write permission on /checkin    attack.bats          a feeder that may write /checkin and nothing else
# a process with /proc access                   attack.bats          a process that looks into /proc
# tokens left in the daemon's memory            memory.bats          after escrows, retrievals and check-ins no token is left
# a core dump, or swap                          life.bats            no core dumps, and its memory is locked
# a hostile process name                        audit.bats           who: the user, the process, its name
# the hostile name of a file                    cli.bats             the name of a file forges no line
# a caller in another PID or user namespace     attack.bats          a caller in another PID or user namespace
# a hostile property list                       checkin.bats         hostile property lists are refused quickly
# a forged backup                               import_tree.bats     a forged seal doesn't take the place
# a key that others may read                    cli.bats             a key inside the store is refused
load helper

prepare() {
	mount_new
	device
}

# checkpoint: as status prints it.
checkpoint() { escrowfs status "$S" | sed -n 's/^checkpoint  *//p'; }

@test "a trail that was cut short, chained anew or put back: verify --since" {
	local early late
	early=$(checkpoint)
	echo "$TOKEN_1" >"$D/token"
	unmount
	cp -r "$S" "$T/old"
	mount_again
	cat "$D/token"
	unmount
	late=$(checkpoint)
	run -0 escrowfs verify --since "$early" "$S"
	run -0 escrowfs verify --since "$late" "$S"
	run -0 escrowfs verify --since "0:$(printf '%064d' 0)" "$S"

	# The retrieval and all behind it are gone; what is left hangs together.
	cp -r "$S" "$T/whole"
	python3 - "$S/escrow.db" <<'PY'
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
first = db.execute("SELECT min(seq) FROM trail WHERE line LIKE '%\"action\":\"retrieve\"%'").fetchone()[0]
db.execute("DELETE FROM trail WHERE seq >= ?", (first,))
seq, at, line = db.execute("SELECT seq, at, line FROM trail ORDER BY seq DESC LIMIT 1").fetchone()
size, = db.execute("SELECT sum(length(line)) FROM trail").fetchone()
db.execute("UPDATE head SET trail_seq = ?, trail_at = ?, trail_size = ?, trail_chain = ?",
           (seq, at, size, bytes.fromhex(json.loads(line)["chain"])))
db.commit()
PY
	run -0 escrowfs verify "$S"
	run -0 escrowfs verify --since "$early" "$S"
	run -1 escrowfs verify --since "$late" "$S"
	assert_has "$output" 'cut short'
	assert_has "$output" "line ${late%%:*}"

	# It grows again, past the number that is missed.
	mount_again
	for _ in 1 2 3 4; do echo "$TOKEN_1" >"$D/token"; done
	unmount
	run -0 escrowfs verify "$S"
	run -1 escrowfs verify --since "$late" "$S"
	assert_has "$output" "line ${late%%:*} isn't the checkpoint's"

	# An old copy of everything.
	rm -rf "$S"
	cp -r "$T/old" "$S"
	run -0 escrowfs verify "$S"
	run -1 escrowfs verify --since "$late" "$S"
	assert_has "$output" 'an old copy of the store was put back'
}

@test "verify --since takes what status prints, and nothing else" {
	local good
	good=$(checkpoint)
	run -0 escrowfs verify --since "$good" "$S"
	for bad in '' 1 1: ":${good#*:}" "-$good" "${good}0" "${good%?}" "x$good" "99999999999999999999:${good#*:}"; do
		run -2 escrowfs verify --since "$bad" "$S"
		assert_has "$output" 'is no checkpoint'
	done
	run -2 escrowfs status --since "$good" "$S"
	# Of a trail that was empty.
	run -1 escrowfs verify --since "0:${good#*:}" "$S"
	assert_has "$output" 'no chain of an empty trail'
}

@test "a limit on retrievals: root's rsync ends there, by token and by checkin; what is refused is on the trail" {
	local i
	unmount
	mount_again -o max-retrievals=6/h
	for i in $(seq 20); do
		mkdir "$M/devices/D-$i"
		[ "$i" = 20 ] || echo "$TOKEN_1" >"$M/devices/D-$i/token"
	done
	# What is empty, and what is only looked at, is free.
	for i in 1 2 3 4 5 6 7; do cat "$M/devices/D-20/token"; done
	ls -lR "$M/devices" >"$T/list"
	assert_equal "$(get_token D-20 | checkin | grep -c BootstrapToken)" 0

	assert_equal "$(get_token D-1 | checkin | reply_token)" "$TOKEN_1"
	assert_equal "$(get_token D-2 | checkin | reply_token)" "$TOKEN_1"
	# Four are left, for all who come at the same time.
	rsync -r "$M/devices/" "$T/stolen" 2>"$T/rsync.err" || :
	assert_has "$(cat "$T/rsync.err")" 'Disk quota exceeded'
	assert_equal "$(grep -rl "$TOKEN_1" "$T/stolen" | wc -l)" 4

	for i in 1 2 3; do assert_equal "$(errno_of 'os.open(p, os.O_RDONLY)' "$M/devices/D-1/token")" EDQUOT; done
	assert_equal "$(errno_of 'os.open(p, os.O_RDWR)' "$M/devices/D-1/token")" EDQUOT
	assert_equal "$(errno_of 'os.open(p, os.O_WRONLY)' "$M/devices/D-1/token")" ok
	get_token D-1 >"$T/get"
	assert_equal "$(errno_of 'f = os.open(p, os.O_RDWR); os.write(f, open("'"$T/get"'", "rb").read())' "$M/checkin")" EDQUOT
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" 6
	assert_has "$(trail)" '"action":"refuse","outcome":"EDQUOT","udid":"D-1"'
	assert_has "$(trail)" 'no more than 6 tokens an hour'
	assert_has "$(trail)" 'mount again with a higher number'

	assert_has "$(cat "$M/metrics")" 'escrowfs_retrievals_limit 6'
	assert_has "$(cat "$M/metrics")" 'escrowfs_retrievals_last_hour 6'
	[ "$(sed -n 's/^escrowfs_retrievals_over_limit_total //p' "$M/metrics")" -ge 20 ]

	# Nothing else stops: escrows, and what was opened before.
	echo "$TOKEN_2" >"$M/devices/D-1/token"
	unmount
	mount_again
	for i in $(seq 12); do assert_equal "$(cat "$M/devices/D-1/token")" "$TOKEN_2"; done
	assert_has "$(cat "$M/metrics")" 'escrowfs_retrievals_limit 0'
	assert_has "$(cat "$M/metrics")" 'escrowfs_retrievals_last_hour 12'
	unmount
	run -2 escrowfs mount "$S" "$M" -o sealed,max-retrievals=5/h
	run -2 escrowfs mount "$S" "$M" -o max-retrievals=5
	assert_has "$output" 'max-retrievals=100/h'
}

@test "a limit on retrievals holds among many who come at once, and a seal that doesn't open uses none of it" {
	local i
	echo "$TOKEN_1" >"$D/token"
	unmount
	mount_again -o max-retrievals=5/h,threads=8
	for i in $(seq 40); do cat "$D/token" >"$T/out.$i" 2>/dev/null & done
	wait
	assert_equal "$(grep -l "$TOKEN_1" "$T"/out.* | wc -l)" 5
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" 5
	unmount
	mv "$S.key.pem" "$T/away.pem"
	mount_again -o max-retrievals=2/h
	for i in 1 2 3; do assert_equal "$(errno_of 'open(p)' "$D/token")" ENOKEY; done
	assert_has "$(cat "$M/metrics")" 'escrowfs_retrievals_last_hour 0'
}

# asks IDENTITY [TOKEN]: sends what a Mac with this certificate would send: Get, or Set.
asks() {
	{
		[ -z "$1" ] || printf 'Identity: %s\n\n' "$1"
		if [ $# -gt 1 ]; then set_token "$2"; else get_token; fi
	} | checkin >"$T/reply" || return
	[ $# -gt 1 ] || ! grep -q BootstrapToken "$T/reply" || reply_token <"$T/reply"
}

@test "a changed client certificate gets no token until it escrows or is accepted: identity=strict" {
	local a b c
	a=$(printf 'a%.0s' {1..64}) b=$(printf 'b%.0s' {1..64}) c=$(printf 'c%.0s' {1..64})
	unmount
	mount_again -o identity=strict
	echo "$TOKEN_1" >"$D/token"

	# Nothing is bound: the first one is.
	assert_equal "$(asks '')" "$TOKEN_1"
	assert_equal "$(asks "$a")" "$TOKEN_1"
	assert_has "$(grep '"identity"' "$M/audit" | tail -n 1)" "bound to client certificate $a"

	# Another one, and none, get nothing, and the trail says why, a new one once.
	assert_equal "$(asks "$b")" ''
	assert_has "$(trail)" '"retrieve","outcome":"none"'
	assert_has "$(trail)" 'came with another client certificate'
	assert_equal "$(asks "$b")" ''
	assert_equal "$(asks '')" ''
	assert_has "$(trail)" 'without the Identity'
	# An error, and no empty reply, which would say that there is no token.
	get_token >"$T/get"
	assert_equal "$(errno_of 'open(p, "r+b", 0).write(open("'"$T/get"'", "rb").read())' "$M/checkin")" EPERM
	run --separate-stderr bash -c "{ printf 'Identity: $b\n\n' && cat '$T/get'; } >&3 || cat <&3" 3<>"$M/checkin"
	assert_has "$output" "device $UDID: GetBootstrapToken: the device came with another client certificate"
	assert_equal "$(grep -c "came with another client certificate: $b, its own is $a" "$M/audit")" 1
	run -0 escrowfs accept "$S"
	assert_has "$output" "came with  $b"
	assert_has "$output" "its own is $a"

	# The device itself isn't locked out, and taking the token away or saying something else binds nothing.
	assert_equal "$(asks "$a")" "$TOKEN_1"
	{ printf 'Identity: %s\n\n' "$b" && message TokenUpdate UDID="$UDID"; } | checkin
	asks "$b" ''
	assert_equal "$(asks "$b")" ''
	assert_equal "$(asks "$a")" ''
	asks "$a" "$TOKEN_1"
	assert_equal "$(asks "$a")" "$TOKEN_1"
	assert_equal "$(asks "$b")" ''

	# It lasts. Accepted is what is meant, by whom is on the trail.
	unmount
	mount_again -o identity=strict
	assert_equal "$(asks "$b")" ''
	run -1 escrowfs accept "$S" "$UDID" cccc
	assert_has "$output" "came with client certificate $b, and not"
	run -1 escrowfs accept "$S" "$UDID" ''
	run -1 escrowfs accept "$S" NO-SUCH
	assert_has "$output" 'no such device'
	run -0 escrowfs accept "$S" "${UDID,,}" "${b:0:10}"
	assert_has "$output" "its client certificate is $b from now on, before $a"
	assert_has "$(trail)" '"action":"identity"'
	assert_has "$(trail)" "accepted by hand: client certificate $b, before $a"
	assert_has "$(trail)" '"uid":0'
	assert_equal "$(asks "$b")" "$TOKEN_1"
	assert_equal "$(asks "$a")" ''
	run -0 escrowfs accept "$S" "$UDID"
	run -1 escrowfs accept "$S" "$UDID"
	assert_has "$output" 'nothing to accept'
	assert_equal "$(asks "$a")" "$TOKEN_1"

	# It escrows: what it gets from then on is what it brought.
	asks "$c" "$TOKEN_2"
	assert_has "$(grep '"identity"' "$M/audit" | tail -n 1)" "it escrowed, and is bound"
	assert_equal "$(asks "$c")" "$TOKEN_2"
	assert_equal "$(asks "$a")" ''
	run -0 escrowfs accept "$S"
	assert_has "$output" "came with  $a"

	# Administrators read the token all the same; and a device that went takes all of this with it.
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	truncate -s 0 "$D/token"
	rmdir "$D"
	run -0 escrowfs accept "$S"
	assert_has "$output" 'Every device came with its own'
	run -0 escrowfs verify "$S"
}

@test "without identity=strict a changed certificate is served, bound, and on the trail" {
	local a b
	a=$(printf 'a%.0s' {1..64}) b=$(printf 'b%.0s' {1..64})
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(asks "$a")" "$TOKEN_1"
	assert_equal "$(asks "$b")" "$TOKEN_1"
	assert_has "$(grep '"identity"' "$M/audit" | tail -n 1)" "came with another client certificate: $b, before $a"
	unmount
	mount_again -o identity=strict
	assert_equal "$(asks "$a")" ''
	assert_equal "$(asks "$b")" "$TOKEN_1"
	unmount
	mount_again
	assert_equal "$(asks "$a")" "$TOKEN_1"
	run -0 escrowfs accept "$S"
	assert_has "$output" 'Every device came with its own'
	unmount
	run -2 escrowfs mount "$S" "$M" -o identity=loose
	run -2 escrowfs mount "$S" "$M" -o sealed,identity=strict
}

# recipients_of: to how many the current token is sealed, as OpenSSL sees it.
recipients_of() {
	sqlite3 "$S/escrow.db" 'SELECT hex(blob) FROM sealed ORDER BY version DESC LIMIT 1' |
		python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' >"$T/blob"
	openssl cms -cmsout -print -inform DER -in "$T/blob" | grep -c 'keyEncryptionAlgorithm'
}

# slip [more SQL]: the thief's certificate becomes a recipient, by hand.
slip() {
	[ -e "$T/thief.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 9 \
		-subj /CN=thief -keyout "$T/thief.key" -out "$T/thief.pem" 2>"$T/req"
	sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "INSERT INTO recipient (name, certificate, added_at)
		VALUES ('daily', x'$(openssl x509 -in "$T/thief.pem" -outform DER | od -An -v -tx1 | tr -d ' \n')', 1)
		ON CONFLICT DO UPDATE SET retired_at = 0, added_at = 1; $1"
}
unslip() { sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "DELETE FROM recipient WHERE added_at = 1; $1"; }

@test "a recipient slipped into the database refuses the mount, and nothing is sealed to it: recipients=FILE" {
	local bump='UPDATE store SET generation = generation + 1' trail_lines
	for key in "$S.key.pem" "$S.recovery.pem"; do openssl x509 -in "$key"; done >"$T/pins.pem"
	unmount
	mount_again -o "recipients=$T/pins.pem"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(recipients_of)" 2

	# While it serves: first so that the mount doesn't know, then so that it does.
	slip
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(recipients_of)" 2
	sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "$bump"
	assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_1"'\n")' "$D/token")" EKEYREJECTED
	assert_has "$(trail)" '"action":"refuse","outcome":"EKEYREJECTED"'
	assert_has "$(trail)" "its recipients aren't those in $T/pins.pem any more"
	set_token "$TOKEN_1" >"$T/set"
	assert_equal "$(errno_of 'open(p, "r+b", 0).write(open("'"$T/set"'", "rb").read())' "$M/checkin")" EKEYREJECTED
	# What needs no seal goes on.
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	echo "$TOKEN_2" >"$D/token"
	assert_has "$(cat "$M/metrics")" escrowfs_recipient_expiry
	assert_equal "$(recipients_of)" 2
	assert_equal "$(sqlite3 "$S/escrow.db" 'SELECT count(*) FROM version')" 2

	# It can't be mounted so, and nothing else seals to it that is told whom there may be.
	unmount
	run -1 escrowfs mount "$S" "$M" -o "recipients=$T/pins.pem"
	assert_has "$output" "$(openssl x509 -in "$T/thief.pem" -noout -fingerprint -sha256 | tr -d : | sed 's/.*=//' | tr A-F a-f)"
	assert_has "$output" '--retire'
	trail_lines=$(sqlite3 "$S/escrow.db" 'SELECT count(*) FROM trail')
	set_token "$TOKEN_1" OTHER >"$T/set.plist"
	run -1 escrowfs import --recipients "$T/pins.pem" "$S" "$T/set.plist"
	run -1 escrowfs restore --recipients "$T/pins.pem" "$S" "$UDID" 1
	run -1 escrowfs rekey --recipients "$T/pins.pem" "$S"
	assert_has "$output" 'a recipient with SHA-256'
	assert_equal "$(sqlite3 "$S/escrow.db" 'SELECT count(*) FROM trail')" "$trail_lines"

	# The way out that the sentence names.
	run -0 escrowfs rekey "$S" --recipients "$T/pins.pem" --retire \
		"$(openssl x509 -in "$T/thief.pem" -noout -fingerprint -sha256 | sed 's/.*=//')"
	mount_again -o "recipients=$T/pins.pem"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(recipients_of)" 2

	# Taken back, it goes on by itself.
	slip "$bump"
	assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_2"'\n")' "$D/token")" EKEYREJECTED
	unslip "$bump"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(recipients_of)" 2
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "a recipient slipped into the database, or taken out, is what verify finds; a rekey's isn't" {
	local thief
	unmount
	run -0 escrowfs verify "$S"
	slip
	thief=$(openssl x509 -in "$T/thief.pem" -noout -fingerprint -sha256 | tr -d : | sed 's/.*=//' | tr A-F a-f)
	run -1 escrowfs verify "$S"
	assert_has "$output" "recipient daily, SHA-256 $thief: all is sealed to it, and the trail doesn't say that anybody added it"
	unslip
	run -0 escrowfs verify "$S"
	run -0 escrowfs rekey "$S" --add "$T/thief.pem"
	run -0 escrowfs verify "$S"
	run -0 escrowfs rekey "$S" --retire "$thief"
	run -0 escrowfs verify "$S"
	by_hand "UPDATE recipient SET retired_at = 0"
	run -1 escrowfs verify "$S"
	assert_has "$output" "recipient thief.pem, SHA-256 $thief: all is sealed to it, and the trail says that it was retired"
	by_hand "UPDATE recipient SET retired_at = 1 WHERE name <> 'daily'"
	run -1 escrowfs verify "$S"
	assert_has "$output" 'nothing is sealed to it'
}

@test "recipients=FILE and a rekey: the file first, then the rekey, and the mount follows" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 9 -subj /CN=new \
		-keyout "$T/new.key" -out "$T/new.pem" 2>"$T/req"
	for key in "$S.key.pem" "$S.recovery.pem"; do openssl x509 -in "$key"; done >"$T/old.pem"
	cp "$T/old.pem" "$T/pins.pem"
	unmount
	mount_again -o "recipients=$T/pins.pem"
	echo "$TOKEN_1" >"$D/token"
	run -1 escrowfs rekey --recipients "$T/pins.pem" --add "$T/new.pem" "$S"
	cat "$T/new.pem" >>"$T/pins.pem"
	run -1 escrowfs rekey --recipients "$T/pins.pem" "$S"
	assert_has "$output" "hasn't the recipient"
	assert_equal "$(recipients_of)" 2
	run -0 escrowfs rekey --recipients "$T/pins.pem" --add "$T/new.pem" "$S"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(recipients_of)" 3
	assert_equal "$(cat "$D/token")" "$TOKEN_2"

	# The other way round nothing is escrowed until the file says so too.
	run -0 escrowfs rekey --retire "$(openssl x509 -in "$T/new.pem" -noout -fingerprint -sha256 | sed 's/.*=//')" "$S"
	assert_equal "$(errno_of 'open(p, "wb", 0).write(b"'"$TOKEN_1"'\n")' "$D/token")" EKEYREJECTED
	cp "$T/old.pem" "$T/pins.pem"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(recipients_of)" 2
}

@test "recipients=FILE: a file that could be the thief's, or is none, refuses the mount" {
	local bad
	for key in "$S.key.pem" "$S.recovery.pem"; do openssl x509 -in "$key"; done >"$T/pins.pem"
	unmount
	refused() { # refused FILE WORDS
		run -1 timeout 20 "$ESCROWFS" mount "$S" "$M" -o "recipients=$1"
		assert_has "$output" "$2"
	}
	refused "$T/missing.pem" "$T/missing.pem: No such file"
	cp "$T/pins.pem" "$S/pins.pem"
	refused "$S/pins.pem" 'inside the store'
	rm "$S/pins.pem"
	mkfifo "$T/fifo"
	refused "$T/fifo" 'not a regular file'
	install -m 0646 "$T/pins.pem" "$T/writable.pem"
	refused "$T/writable.pem" 'chmod o-w'
	mkdir -m 0777 "$T/open"
	ln -s "$T/pins.pem" "$T/open/link"
	refused "$T/open/link" 'a symbolic link in a directory that others may write'
	: >"$T/empty"
	refused "$T/empty" 'no whole X.509 certificate'
	head -c -100 "$T/pins.pem" >"$T/cut.pem"
	refused "$T/cut.pem" "$T/cut.pem"
	openssl x509 -in "$S.key.pem" >"$T/one.pem"
	refused "$T/one.pem" "isn't in recipients=$T/one.pem"
	run -2 escrowfs mount "$S" "$M" -o "sealed,recipients=$T/pins.pem"
	run -2 escrowfs status "$S" --recipients "$T/pins.pem"
	ln -s pins.pem "$T/link.pem"
	mount_again -o "recipients=$T/link.pem"
}

# quickly COMMAND...: it may not wait for anybody.
quickly() { timeout 20 "$ESCROWFS" "$@"; }

@test "a link or FIFO in place of the key or its passphrase: refused at once, a link of one's own is followed" {
	local what
	unmount
	mkdir -m 0777 "$T/open"
	mkfifo -m 0600 "$T/fifo"
	ln -s "$S.key.pem" "$T/open/link"
	ln -s "$T" "$T/open/directory"
	run -1 quickly mount "$S" "$M" -o "key=$T/fifo"
	assert_has "$output" "$T/fifo: not a regular file"
	for what in "$T/open/link" "$T/open/directory/store.key.pem" "file:$T/open/link"; do
		run -1 quickly mount "$S" "$M" -o "key=$what"
		assert_has "$output" 'a symbolic link in a directory that others may write'
		assert_has "$output" "$T/open/"
		run -1 quickly verify --key "$what" "$S"
	done
	printf 'pass\n' >"$T/pass"
	chmod 0600 "$T/pass"
	ln -s "$T/pass" "$T/open/pass"
	for what in "$T/fifo" "$T/open/pass"; do
		run -1 quickly mount "$S" "$M" -o "key=$S.key.pem,passphrase-file=$what"
		assert_has "$output" "$what"
	done
	# The one that it looks for by itself, too: a mount without a key would be a surprise.
	mv "$S.key.pem" "$T/real.pem"
	mkfifo -m 0600 "$S.key.pem"
	run -1 quickly mount "$S" "$M"
	assert_has "$output" 'not a regular file'
	rm "$S.key.pem"
	ln -s real.pem "$S.key.pem"
	mount_again
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a link or FIFO in place of the store or a file of it: refused at once, a link of one's own is followed" {
	local file
	unmount
	mkdir -m 0777 "$T/open"
	mkfifo "$T/fifo"
	ln -s "$S" "$T/open/link"
	ln -s "$T" "$T/open/directory"
	run -1 quickly mount "$T/fifo" "$M"
	assert_has "$output" 'a store is a directory'
	for what in "$T/open/link" "$T/open/link/" "$T/open/directory/store"; do
		for command in status verify; do
			run -1 quickly "$command" "$what"
			assert_has "$output" 'a symbolic link in a directory that others may write'
		done
		run -1 quickly mount "$what" "$M"
		assert_has "$output" 'a symbolic link in a directory that others may write'
		run -1 quickly mount "$what" "$M" -o sealed
		assert_has "$output" 'a symbolic link in a directory that others may write'
	done
	mkdir -m 0700 "$T/mine"
	ln -s "$T/mine" "$T/open/new"
	run -1 quickly init "$T/open/new"
	assert_equal "$(ls "$T/mine")" ''

	for file in escrow.db escrow.db-wal escrow.db-shm escrow.db-journal lock; do
		cp -r "$S" "$T/copy"
		rm -f "$T/copy/$file"
		mkfifo "$T/copy/$file"
		run -1 quickly mount "$T/copy" "$M" -o "key=$S.key.pem"
		assert_has "$output" 'not a regular file'
		if [ "$file" = lock ]; then run -0 quickly status "$T/copy"; else run -1 quickly status "$T/copy"; fi
		rm "$T/copy/$file"
		echo precious >"$T/elsewhere"
		ln -s "$T/elsewhere" "$T/copy/$file"
		run -1 quickly mount "$T/copy" "$M" -o "key=$S.key.pem"
		assert_has "$output" 'not a regular file'
		assert_equal "$(cat "$T/elsewhere")" precious
		rm -r "$T/copy"
	done

	ln -s store "$T/link"
	run -0 quickly mount "$T/link" "$M"
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a store that anybody may write to, as a directory or by its database, is refused" {
	local file
	unmount
	for file in "$S" "$S/escrow.db"; do
		chmod o+w "$file"
		for how in '' ,sealed; do
			run -1 quickly mount "$S" "$M" -o "ro$how"
			assert_has "$output" 'anybody may write to'
			assert_has "$output" 'chmod'
		done
		for command in status verify; do
			run -1 quickly "$command" "$S"
			assert_has "$output" 'anybody may write to'
		done
		chmod o-w "$file"
	done
	mount_again
}

@test "a link or FIFO in place of the export directory: refused, and nothing is written there" {
	local form
	echo "$TOKEN_1" >"$D/token"
	mkdir -m 0777 "$T/open"
	mkdir -m 0700 "$T/mine"
	mkfifo "$T/fifo"
	ln -s "$T/mine" "$T/open/link"
	ln -s "$T" "$T/open/directory"
	ln -s "$T/not/there" "$T/open/dangling"
	for form in messages csv tree; do
		for what in "$T/open/link" "$T/open/directory/out" "$T/open/dangling"; do
			run -1 quickly export "$S" --to "$form" "$what"
			assert_has "$output" 'a symbolic link in a directory that others may write'
		done
		run -1 quickly export "$S" --to "$form" "$T/fifo"
		assert_has "$output" 'Not a directory'
	done
	assert_equal "$(ls -A "$T/mine")" ''
	[ ! -e "$T/out" ]
	run ! grep -q '"action":"export"' "$M/audit"
	ln -s mine "$T/link"
	run -0 quickly export "$S" --to csv "$T/link"
	[ -s "$T/mine/tokens.csv" ]
}

# sql STATEMENTS: by hand, on a store that nobody serves.
sql() { sqlite3 "$S/escrow.db" "$1"; }

@test "a version moved to another device with all that is known of it doesn't open there" {
	mkdir "$M/devices/OTHER"
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$M/devices/OTHER/token"
	unmount
	cp -r "$S" "$T/good"
	# Its seal, its digest and its mac; then the row itself; then the name of the device.
	sql "UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 1) WHERE version = 2;
		UPDATE version SET (mac, digest, token_size, blob_size) =
			(SELECT mac, digest, token_size, blob_size FROM version WHERE id = 1) WHERE id = 2"
	mount_again
	assert_equal "$(errno_of 'open(p)' "$M/devices/OTHER/token")" EBADMSG
	assert_equal "$(get_token OTHER | checkin | grep -c BootstrapToken)" 0
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" 'device OTHER, version 1'

	rm -rf "$S" && cp -r "$T/good" "$S"
	sql "UPDATE version SET ended_at = 1, number = 7 WHERE id = 2;
		UPDATE version SET device = (SELECT id FROM device WHERE udid = 'OTHER') WHERE id = 1"
	mount_again
	assert_equal "$(errno_of 'open(p)' "$M/devices/OTHER/token")" EBADMSG
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" 'device OTHER, version 1'

	rm -rf "$S" && cp -r "$T/good" "$S"
	sql "UPDATE device SET udid = 'X' WHERE udid = 'OTHER'; UPDATE device SET udid = 'OTHER' WHERE udid = '$UDID';
		UPDATE device SET udid = '$UDID' WHERE udid = 'X'"
	mount_again
	assert_equal "$(errno_of 'open(p)' "$M/devices/OTHER/token")" EBADMSG
	assert_equal "$(errno_of 'open(p)' "$D/token")" EBADMSG
	unmount
	run -1 escrowfs verify "$S"
	assert_has "$output" 'device OTHER, version 1'
}

@test "an old version put back by hand under a new number, with its mac and digest, is what verify finds" {
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	unmount
	cp -r "$S" "$T/good"
	sql "UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 1) WHERE version = 2;
		UPDATE version SET (mac, digest, token_size, blob_size) =
			(SELECT mac, digest, token_size, blob_size FROM version WHERE id = 1) WHERE id = 2"
	run -1 escrowfs verify "$S"
	assert_has "$output" "device $UDID, version 2: its blob isn't the one that the trail names"
	# And without any key.
	mv "$S.key.pem" "$T/away"
	run -1 escrowfs verify "$S"
	assert_has "$output" "device $UDID, version 2: its blob isn't the one that the trail names"
}

# by_hand SQL...
by_hand() { sqlite3 -cmd '.timeout 10000' "$S/escrow.db" "$@"; }

@test "an old version made the current one again by hand is what verify finds, and that it was handed out, too" {
	local old='UPDATE version SET ended_at = 1, ending = 1 WHERE number = 2; UPDATE version SET ended_at = 0, ending = 0 WHERE number = 1;
		UPDATE device SET escrowed_at = (SELECT escrowed_at FROM version WHERE number = 1)' line
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	unmount
	run -0 escrowfs verify "$S"
	cp -r "$S" "$T/good"
	by_hand "$old"
	for key in with without; do
		[ "$key" = with ] || mv "$S.key.pem" "$T/away"
		run -1 escrowfs verify "$S"
		assert_has "$output" "device $UDID, version 1: it is kept as the current one, and the trail says that it ended"
		assert_has "$output" "device $UDID, version 2: it is kept as one that ended, and the trail says that it is the current one"
	done
	mv "$T/away" "$S.key.pem"

	# Handed out, and the store mended again: the line stays.
	mount_again
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
	unmount
	by_hand "ATTACH '$T/good/escrow.db' AS good; UPDATE version SET ended_at = 0 - number, ending = 0;
		UPDATE version SET ended_at = (SELECT ended_at FROM good.version g WHERE g.id = main.version.id),
			ending = (SELECT ending FROM good.version g WHERE g.id = main.version.id);
		UPDATE device SET escrowed_at = (SELECT escrowed_at FROM good.device)"
	run -1 escrowfs verify "$S"
	line=$(by_hand "SELECT seq FROM trail WHERE line LIKE '%\"retrieve\"%'")
	assert_has "$output" "trail: line $line: device $UDID, version 1 was handed out, and version 2 was the current one"
	run ! grep -q 'it is kept as' <<<"$output"

	# One that was removed is no other.
	rm -rf "$S" && cp -r "$T/good" "$S"
	mount_again
	truncate -s 0 "$D/token"
	unmount
	run -0 escrowfs verify "$S"
	by_hand 'UPDATE version SET ended_at = 0, ending = 0 WHERE number = 2'
	run -1 escrowfs verify "$S"
	assert_has "$output" "version 2: it is kept as the current one, and the trail says that it ended"
}

@test "a certificate bound to a Mac by hand is what verify finds" {
	local a b
	a=$(printf 'a%.0s' {1..64}) b=$(printf 'b%.0s' {1..64})
	unmount
	mount_again -o identity=strict
	asks "$a" "$TOKEN_1"
	unmount
	run -0 escrowfs verify "$S"
	by_hand "UPDATE device SET identity = '$b'"
	run -1 escrowfs verify "$S"
	assert_has "$output" "device $UDID: the client certificate that it is bound to isn't the one on the trail"
}

@test "a device taken away and made again while it is written: whole tokens of the device that is there" {
	local i
	rmdir "$D"
	# Makers, takers and writers; what is refused is refused by name of errno, and nothing hangs.
	racer() {
		timeout 60 python3 - "$D" "$1" "$TOKEN_1" "$TOKEN_2" <<'PY'
import errno, os, sys
path, kind, *tokens = sys.argv[1:]
fine = {errno.EEXIST, errno.ENOENT, errno.ENOTEMPTY, errno.ESTALE}
for i in range(150):
    try:
        if kind == "make":
            os.mkdir(path)
        elif kind == "take":
            os.truncate(path + "/token", 0)
            os.rmdir(path)
        else:
            fd = os.open(path + "/token", os.O_RDWR if i % 2 else os.O_WRONLY)
            try:
                os.write(fd, tokens[i % 2].encode() + b"\n")
            finally:
                os.close(fd)
    except OSError as e:
        if e.errno not in fine:
            sys.exit(f"{kind}: {e}")
PY
	}
	for i in make make take take write write write write; do racer $i 2>>"$T/racers" & done
	wait
	assert_equal "$(cat "$T/racers")" ''
	mkdir -p "$D"
	echo "$TOKEN_2" >"$D/token"
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
	unmount
	run -0 escrowfs verify "$S"
	# Every escrow that was answered is a version, of one device after the other, under its own number.
	assert_equal "$(sql 'SELECT count(*) FROM version')" "$(sql "SELECT count(*) FROM trail WHERE line LIKE '%\"action\":\"escrow\"%'")"
	assert_equal "$(sql 'SELECT count(*) - count(DISTINCT number) FROM version')" 0
}

@test "a reader whose right is taken away between open and read keeps what it opened, and gets no more" {
	echo "$TOKEN_1" >"$D/token"
	chmod 0755 "$M/devices" "$D"
	chmod 0644 "$D/token"
	mkfifo "$T/go"
	chmod 0644 "$T/go"
	as 1001 python3 - "$D/token" "$T/go" >"$T/out" <<'PY' &
import errno, os, sys
path, go = sys.argv[1:]
fd = os.open(path, os.O_RDONLY)
held = os.open(path, os.O_PATH)
print("opened", flush=True)
open(go).read()
first = os.read(fd, 10)
print((first + os.read(fd, 1000)).decode(), end="")
os.lseek(fd, 0, 0)
print(os.read(fd, 1000).decode(), end="")
for again in path, f"/proc/self/fd/{fd}", f"/proc/self/fd/{held}":
    try:
        os.open(again, os.O_RDONLY)
        print("opened again:", again)
    except OSError as e:
        print(errno.errorcode[e.errno])
PY
	eventually 100 grep -q opened "$T/out"
	chmod 0600 "$D/token"
	echo "$TOKEN_2" >"$D/token"
	: >"$T/go"
	wait
	assert_equal "$(cat "$T/out")" "opened
$TOKEN_1
$TOKEN_1
EACCES
EACCES
EACCES"
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" 1
}

@test "a feeder that may write /checkin and nothing else gets nothing out" {
	local lines_before
	echo "$TOKEN_1" >"$D/token"
	chown 0:4321 "$M/checkin"
	chmod 0620 "$M/checkin"
	get_token >"$T/get"
	set_token "$TOKEN_2" >"$T/set"
	chmod 0644 "$T/get" "$T/set"
	lines_before=$(lines)
	as 1234:4321 python3 - "$M" "$UDID" "$T/get" "$T/set" >"$T/out" <<'PY'
import errno, os, sys
mount, udid, get, set_ = sys.argv[1:]

def attempt(what):
    try:
        print(what())
    except OSError as e:
        print(errno.errorcode[e.errno])

def ask():
    fd = os.open(mount + "/checkin", os.O_WRONLY)
    os.write(fd, open(get, "rb").read())
    attempt(lambda: os.read(fd, 1000))
    attempt(lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDONLY))
    attempt(lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
    return "asked"

attempt(ask)
for name in ("/checkin", "/audit", f"/devices/{udid}/token", f"/devices/{udid}/security.json", "/devices"):
    attempt(lambda: os.open(mount + name, os.O_RDONLY))
attempt(lambda: os.open(mount + "/checkin", os.O_RDWR))
attempt(lambda: os.chmod(mount + "/checkin", 0o666))
attempt(lambda: os.mkdir(mount + "/devices/X"))
attempt(lambda: os.open(f"{mount}/devices/{udid}/token", os.O_WRONLY))
fd = os.open(mount + "/checkin", os.O_WRONLY)
attempt(lambda: os.write(fd, open(set_, "rb").read()) > 0)
PY
	# Reading is EBADF; all the rest is EACCES but chmod.
	assert_equal "$(tr '\n' ' ' <"$T/out")" \
		'EBADF EACCES EACCES asked EACCES EACCES EACCES EACCES EACCES EACCES EPERM EACCES EACCES True '
	assert_has "$(tail -n +$((lines_before + 1)) "$M/audit" | grep retrieve)" '"outcome":"none"'
	assert_has "$(tail -n +$((lines_before + 1)) "$M/audit" | grep retrieve)" 'nowhere to go'
	assert_equal "$(grep -c '"retrieve","outcome":"ok"' "$M/audit")" 0
	assert_equal "$(cat "$D/token")" "$TOKEN_2"
}

@test "a process that looks into /proc sees nothing of the daemon: no memory, no descriptor, no environment" {
	local daemon what
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token"
	daemon=$(pgrep -f "escrowfs.* $T/" | head -n 1)
	[ -n "$daemon" ]
	as 1001 python3 - "$daemon" >"$T/out" <<'PY'
import errno, os, sys
pid = sys.argv[1]
def attempt(what):
    try:
        what()
        print("allowed")
    except OSError as e:
        print(errno.errorcode[e.errno])
for name in "mem", "environ", "maps", "smaps", "auxv", "io", "pagemap":
    attempt(lambda: os.read(os.open(f"/proc/{pid}/{name}", os.O_RDONLY), 1))
for name in "fd", "map_files", "fdinfo":
    attempt(lambda: os.listdir(f"/proc/{pid}/{name}"))
for name in "exe", "cwd", "root":
    attempt(lambda: os.readlink(f"/proc/{pid}/{name}"))
attempt(lambda: os.open(f"/proc/{pid}/fd/3", os.O_RDONLY))
attempt(lambda: os.pidfd_open(int(pid)) and os.kill(int(pid), 15))
PY
	run ! grep -qvE '^(EACCES|EPERM|ESRCH)$' "$T/out"
	assert_equal "$(wc -l <"$T/out")" 15
	# What anybody may see says nothing that is secret.
	for what in cmdline comm status stat wchan; do
		run ! grep -qa "$TOKEN_1\|bootstrap token number" "/proc/$daemon/$what"
	done
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "a caller in another PID or user namespace is recorded as such, and has no more rights there" {
	local daemon
	echo "$TOKEN_1" >"$D/token"
	chmod 0755 "$M/devices" "$D"
	# A namespace below the daemon's: the caller's number is the one that it has here.
	assert_equal "$(unshare --pid --fork --mount-proc cat "$D/token")" "$TOKEN_1"
	assert_has "$(trail)" '"command":"cat"'
	run ! grep -q '"pid":1,' <(trail)
	# Root of a user namespace is the user that made it: refused, and recorded as that one.
	run -1 as 1001 unshare --user --map-root-user cat "$D/token"
	chmod 0604 "$D/token"
	assert_equal "$(as 1001 unshare --user --map-root-user cat "$D/token")" "$TOKEN_1"
	assert_has "$(trail)" '"uid":1001,"gid":1001'
	unmount

	# The daemon is in a namespace of its own, and the caller outside of it: no number, and no stranger's name.
	unshare --pid --fork "$ESCROWFS" mount -f "$S" "$M" >"$T/log" 2>&1 &
	eventually 100 mountpoint -q "$M"
	assert_equal "$(as 1001 cat "$D/token")" "$TOKEN_1"
	assert_has "$(trail)" '"uid":1001'
	assert_has "$(trail)" '"pid":0'
	run ! grep -q '"command":"cat"\|"loginuid"' <(trail)
	# One beside it has a number there, which is somebody else's in the /proc that it sees.
	daemon=$(pgrep -f "^$ESCROWFS mount -f $S")
	assert_equal "$(nsenter --target "$daemon" --pid cat "$D/token")" "$TOKEN_1"
	run ! grep -q '"pid":0,\|"command":"[^"]' <(trail)
	umount "$M"
	wait
}

@test "each MUST clause names a test that is there, and what touches a secret has one" {
	local top=$BATS_TEST_DIRNAME/../..
	run -0 "$top/tests/musts" "$top"
	mkdir -p "$T/src/seal" "$T/include" "$T/tests/unit" "$T/tests/mount"
	printf '@test "no token is left" {\n}\n' >"$T/tests/mount/memory.bats"
	printf 'static void wiped(void **state)\n{\n}\nstatic void idle(void **state)\n{\n}\n\tcmocka_unit_test(wiped),\n' \
		>"$T/tests/unit/test_key.c"
	says() { # says STATUS CLAUSE [WORDS]
		printf '/*\n * A key.\n *\n * %s\n */\nstatic struct secret key;\n' "$2" >"$T/src/seal/key.c"
		run "-$1" "$top/tests/musts" "$T"
		assert_has "$output" "${3-}"
	}
	says 0 'MUST: it is wiped. (test: wiped)'
	says 0 'MUST: it is wiped. (test: wip...,
 *       memory.bats, "token is left")'
	says 1 'It is wiped.' 'src/seal/key.c: it touches secrets, and has no MUST clause'
	says 1 'MUST: it is wiped.' 'no test is named'
	says 1 'MUST: it is wiped. (test: wiped_not)' 'there is no test wiped_not'
	says 1 'MUST: it is wiped. (test: idle)' 'there is no test idle'
	says 1 'MUST: it is wiped. (test: mem.bats)' 'there is no test mem.bats'
	says 1 'MUST: it is wiped. (test: memory.bats, "no key is")' 'there is no test memory.bats: no key is'
	says 1 'MUST: one. (test: wiped)
 * MUST: two.' 'no test is named: MUST: two.'
	# Its own header may say it.
	says 1 'It is wiped.' 'touches secrets'
	printf '/* MUST: it is wiped. (test: wiped) */\n' >"$T/include/key.h"
	says 0 'It is wiped.'
}

# table: its rows, "FILE|TEST".
table() {
	sed -n '/^# attack  *file  *test$/,/^load /s/^# .\{45\} *\([a-z_]*\.bats\|test_[a-z_]*\.c\)  *\(.*\)$/\1|\2/p' \
		"$BATS_TEST_DIRNAME/attack.bats"
}

@test "each test that the table names is there" {
	local file name rows=0
	while IFS='|' read -r file name; do
		case $file in
		*.bats) grep -qF "@test \"$name" "$BATS_TEST_DIRNAME/$file" ;;
		*.c) grep -qE "^static void $name\(" "$BATS_TEST_DIRNAME/../unit/$file" ;;
		esac || { echo "$file has no test: $name" && false; }
		rows=$((rows + 1))
	done < <(table)
	assert_equal "$rows" "$(sed -n '/^# attack  *file  *test$/,/^load /p' "$BATS_TEST_DIRNAME/attack.bats" | grep -c '^#' | awk '{ print $1 - 1 }')"
	[ "$rows" -ge 1 ]
}

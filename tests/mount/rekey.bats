#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012,SC2016,SC2154 # tests are subshells; UDID is a plain word
# Rekey: recipients come and go, every token is sealed anew, and what is retired opens nothing.

load helper

prepare() { escrowfs init "$S" >"$T/init.out"; }

# sends FIRST LAST [TEXT]: a SetBootstrapToken of each device.
sends() {
	python3 - "$@" <<'PY'
import base64, sys
for i in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
    token = base64.b64encode(b"bootstrap token %s of device %d" % (" ".join(sys.argv[3:]).encode(), i)).decode()
    print('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>MessageType</key>'
          '<string>SetBootstrapToken</string><key>UDID</key><string>DEVICE-%d</string>'
          '<key>BootstrapToken</key><data>%s</data></dict></plist>' % (i, token))
PY
}

fill() { sends 1 "$1" "${2-}" | escrowfs import "$S" - >"$T/import.out"; }

# A new key $T/NAME.key.pem and its certificate $T/NAME.pem, as the manual has it.
new_key() {
	(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
		-subj "/CN=escrowfs daily key" -keyout "$T/$1.key.pem" -out "$T/$1.pem" 2>/dev/null)
}

fingerprint() { openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//'; }

# Every blob in the store's raw files, one DER file each in $T/blobs; prints how many there are.
scan() {
	rm -rf "$T/blobs" && mkdir "$T/blobs"
	python3 - "$S" "$T/blobs" <<'PY'
import glob, hashlib, os, re, sys
start = re.compile(rb"\x30\x82(..)\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17", re.S)
found = set()
for name in glob.glob(sys.argv[1] + "/*"):
    data = open(name, "rb").read()
    for at in start.finditer(data):
        blob = data[at.start():at.start() + 4 + int.from_bytes(at[1], "big")]
        found.add(blob)
for blob in found:
    open(os.path.join(sys.argv[2], hashlib.sha256(blob).hexdigest()), "wb").write(blob)
print(len(found))
PY
}

# How many of them open with a key, by OpenSSL alone.
opened() {
	find "$T/blobs" -type f -print0 | xargs -0 -r -P2 -I{} sh -c \
		'openssl cms -decrypt -inform DER -in "$1" -inkey "$2" 2>/dev/null | grep -q BootstrapToken && echo yes' \
		_ {} "$1" | wc -l
}

# The files hold as many blobs as given, all open with the one key, none with the other.
assert_turned_over() { # NUMBER NEW-KEY OLD-KEY
	assert_equal "$(scan)" "$1"
	assert_equal "$(opened "$2")" "$1"
	assert_equal "$(opened "$3")" 0
}

versions() { sqlite3 "$S/escrow.db" 'SELECT count(*) FROM version'; }

# The new key in the daily one's place.
turn_over() {
	[ -e "$T/new.pem" ] || new_key new
	escrowfs rekey "$S" --add "$T/new.pem" --retire "$(fingerprint "$S.key.pem")"
}

@test "what is retired opens nothing of what the store's files hold, the past and the removed included" {
	mount_again
	fill 20
	fill 10 again
	truncate -s 0 "$M/devices/DEVICE-1/token"
	rmdir "$M/devices/DEVICE-1"
	new_key new
	# The search finds what there is to find, and more than that in a log that was written to.
	[ "$(scan)" -ge 30 ]
	[ "$(opened "$S.key.pem")" -ge 30 ]
	run -0 --separate-stderr escrowfs rekey "$S" --add "$T/new.pem"
	assert_has "$output" '30 versions sealed anew, to 3 recipients. No older seal is left'
	assert_equal "$(scan)" 30
	assert_equal "$(opened "$T/new.key.pem")" 30
	assert_equal "$(opened "$S.recovery.pem")" 30
	assert_equal "$(opened "$S.key.pem")" 30
	run -0 --separate-stderr escrowfs rekey "$S" --key "$T/new.key.pem" --remember \
		--retire "$(fingerprint "$S.key.pem" | cut -c1-11)"
	assert_has "$output" '30 versions sealed anew, to 2 recipients.'
	assert_turned_over 30 "$T/new.key.pem" "$S.key.pem"
	assert_equal "$(opened "$S.recovery.pem")" 30
	unmount
	run -0 --separate-stderr escrowfs verify "$S"
	assert_has "$output" '30 seals opened: nothing is wrong'
	mount_again
	assert_equal "$(base64 -d "$M/devices/DEVICE-2/token")" 'bootstrap token again of device 2'
}

@test "on the trail: who came, who went, each seal's blob, and the end of it" {
	fill 3
	turn_over 2>/dev/null
	mount_again -o key="$T/new.key.pem"
	grep -q '"action":"rekey".*"reason":"recipient new.pem added, SHA-256 [0-9a-f]\{64\}"' "$M/audit"
	grep -q '"action":"rekey".*"reason":"recipient daily retired, SHA-256 [0-9a-f]\{64\}"' "$M/audit"
	assert_equal "$(grep -c '"action":"rekey".*"udid":"DEVICE-[0-9]".*"version":1.*"blob":"[0-9a-f]\{64\}"' "$M/audit")" 3
	grep -q '"action":"rekey".*"reason":"3 versions sealed anew, 0 left; what was replaced is gone' "$M/audit"
}

@test "a mount serves, escrows and is fed by an import all the while" {
	new_key new
	fill 300
	mount_again
	escrow_on() {
		local i=0
		while [ ! -e "$T/enough" ]; do
			i=$((i + 1))
			echo "bootstrap token number $i" | base64 >"$M/devices/DEVICE-7/token" || touch "$T/failed"
			cat "$M/devices/DEVICE-8/token" >/dev/null || touch "$T/failed"
		done
	}
	escrow_on 3>&- &
	sends 301 500 | escrowfs import "$S" - >"$T/import.out" 3>&- &
	import=$!
	eventually 50 test -d "$M/devices/DEVICE-301"
	run -0 --separate-stderr escrowfs rekey "$S" --add "$T/new.pem"
	wait $import
	touch "$T/enough"
	wait
	rm "$T/enough"
	[ ! -e "$T/failed" ]
	unmount
	mount_again -o key="$T/new.key.pem"
	escrow_on 3>&- &
	run -0 --separate-stderr escrowfs rekey "$S" --key "$T/new.key.pem" --retire "$(fingerprint "$S.key.pem")"
	touch "$T/enough"
	wait
	[ ! -e "$T/failed" ]
	unmount
	run -0 --separate-stderr escrowfs verify "$S" --key "$T/new.key.pem"
	assert_has "$output" 'nothing is wrong'
	assert_turned_over "$(versions)" "$T/new.key.pem" "$S.key.pem"
}

@test "killed at any write to the disk, it goes on where it was" {
	local at kills=0 went_on=0
	export ESCROWFS_VALGRIND=
	new_key new
	fill 600
	cp -a "$S" "$T/as-it-was"
	for at in $(seq 50); do
		rm -rf "$S"
		cp -a "$T/as-it-was" "$S"
		# The leak check doesn't go with strace.
		run --separate-stderr env ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" strace -f -o /dev/null \
			-e trace=fsync,fdatasync -e inject=fsync,fdatasync:signal=KILL:when=$at \
			"$ESCROWFS" rekey "$S" --add "$T/new.pem" --retire "$(fingerprint "$S.key.pem")"
		[ $status -ne 0 ] || break
		kills=$((kills + 1))
		# Killed before its first change was on disk, it has done nothing.
		if escrowfs rekey "$S" --list | grep -q daily; then continue; fi
		run -0 --separate-stderr escrowfs rekey "$S"
		assert_has "$output" 'No older seal is left'
		went_on=$((went_on + 1))
		run -0 --separate-stderr escrowfs verify "$S" --key "$T/new.key.pem"
		assert_has "$output" '600 seals opened: nothing is wrong'
		assert_equal "$(scan)" 600
	done
	[ $kills -ge 5 ] && [ $went_on -ge 4 ] && [ $at -lt 50 ]
	assert_turned_over 600 "$T/new.key.pem" "$S.key.pem"
}

# A disk that takes half a second for each write to be on it.
slowly() {
	ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" strace -f -o /dev/null -e trace=fdatasync \
		-e inject=fdatasync:delay_exit=500000 "$ESCROWFS" "$@"
}

# Some are sealed anew, and some not.
is_in_the_middle() {
	escrowfs rekey "$S" --list | grep -Eq '^[1-9][0-9]* versions? (is|are) sealed to (these|this one), [1-9]'
}

@test "^C: the batch at hand is finished, it says how to go on, and does" {
	export ESCROWFS_VALGRIND=
	new_key new
	fill 1100
	for signal in INT TERM; do
		slowly rekey "$S" --add "$T/new.pem" >"$T/out" 2>"$T/err" 3>&- &
		rekey=$!
		eventually 100 is_in_the_middle
		pkill -$signal -P "$(pgrep -P $rekey strace || echo $rekey)"
		wait $rekey && false
		[[ $(cat "$T/out") =~ ^'Stopped: '([0-9]+)' of 1100 versions are sealed anew. `escrowfs rekey '"$S"'` goes on.' ]]
		local done=${BASH_REMATCH[1]}
		[ $done -ge 256 ]
		run -0 --separate-stderr escrowfs rekey "$S" --list
		assert_has "$output" "$done versions are sealed to these, $((1100 - done)) to older recipients."
		run -0 --separate-stderr escrowfs rekey "$S"
		assert_has "$output" "$((1100 - done)) versions sealed anew, to 3 recipients. No older seal is left"
		run -0 --separate-stderr escrowfs rekey "$S" --retire "$(fingerprint "$T/new.pem")"
	done
	assert_equal "$(scan)" 1100
	assert_equal "$(opened "$T/new.key.pem")" 0
}

@test "a full disk: nothing is lost, and it goes on when there is room" {
	local room runs=0
	mkdir "$T/disk"
	mount -t tmpfs -o size=64m none "$T/disk"
	S=$T/disk/store
	escrowfs init "$S" >/dev/null
	new_key new
	fill 400
	escrowfs verify "$S" >/dev/null
	for room in 0 64 256 512 1024 2048; do
		rm -f "$T/disk/filler"
		dd if=/dev/zero of="$T/disk/filler" bs=1M 2>/dev/null || :
		truncate -s -${room}K "$T/disk/filler"
		if escrowfs rekey "$S" --list | grep -q daily; then
			run --separate-stderr turn_over
		else
			run --separate-stderr escrowfs rekey "$S"
		fi
		[ $status -ne 0 ] || break
		assert_has "$stderr" 'full'
		assert_has "$stderr" "$S"
		runs=$((runs + 1))
		rm "$T/disk/filler"
		# What is sealed anew opens with one key, what isn't with the other.
		run -0 --separate-stderr escrowfs verify "$S" --key "$S.recovery.pem"
		assert_has "$output" '400 seals opened: nothing is wrong'
	done
	[ $runs -ge 2 ]
	rm -f "$T/disk/filler"
	run -0 --separate-stderr escrowfs rekey "$S"
	assert_turned_over 400 "$T/new.key.pem" "$S.key.pem"
}

@test "a sealed mount holds what was there before: it is waited for, said, and the wait can be ended" {
	mkdir "$T/sealed"
	fill 5
	escrowfs mount "$S" "$T/sealed" -o sealed
	turn_over >"$T/out" 2>"$T/err" 3>&- &
	rekey=$!
	eventually 100 grep -q "waiting for a sealed mount to end" "$T/err"
	assert_equal "$(grep -c 'waiting for' "$T/err")" 1
	# One at a time.
	run -1 --separate-stderr escrowfs rekey "$S"
	assert_has "$stderr" "$S: a rekey or a purge is at work on this store already: wait for its end"
	# It shows what it showed.
	openssl cms -decrypt -inform PEM -in "$T/sealed/devices/DEVICE-1/token" -inkey "$S.key.pem" | grep -q BootstrapToken
	[ "$(scan)" -gt 5 ]
	pkill -INT -P $rekey || kill -INT $rekey
	wait $rekey && false
	assert_has "$(cat "$T/out")" "Stopped: all is sealed anew, but the store's files hold what was replaced."
	run -0 --separate-stderr escrowfs rekey "$S" --list
	assert_has "$output" "may hold older seals: \`escrowfs rekey $S\` takes them out"
	escrowfs rekey "$S" >"$T/out" 2>"$T/err" 3>&- &
	rekey=$!
	eventually 100 grep -q "waiting for a sealed mount to end" "$T/err"
	umount "$T/sealed"
	wait $rekey
	assert_has "$(cat "$T/out")" "No older seal is left in the store's files."
	assert_turned_over 5 "$T/new.key.pem" "$S.key.pem"
}

@test "a mount whose key is retired says so, goes on escrowing, and retrieves no more" {
	new_key new
	fill 2
	escrowfs mount "$S" "$M" -f 2>"$T/log" 3>&- &
	eventually 50 grep -q serving "$T/log"
	turn_over 2>/dev/null
	eventually 50 grep -q "a rekey retired the private key of this mount, $S.key.pem" "$T/log"
	assert_equal "$(errno_of 'open(p, "rb")' "$M/devices/DEVICE-1/token")" ENOKEY
	echo "$TOKEN_1" >"$M/devices/DEVICE-1/token"
	unmount
	assert_equal "$(grep -c 'retired the private key' "$T/log")" 1
	run -0 --separate-stderr escrowfs rekey "$S" --list
	assert_has "$output" '3 versions are sealed to these, 0 to older'
	# The machine starts again: the mount comes up, and says what is amiss.
	run -0 --separate-stderr mount_again
	assert_has "$stderr" "the private key at $S.key.pem is none of its recipients"
	echo "$TOKEN_2" >"$M/devices/DEVICE-1/token"
	assert_equal "$(errno_of 'open(p, "rb")' "$M/devices/DEVICE-1/token")" ENOKEY
	unmount
	run -1 --separate-stderr mount_again -o key="$S.key.pem"
	assert_has "$stderr" "none of the recipients"
	mount_again -o key="$T/new.key.pem"
	echo "$TOKEN_1" >"$M/devices/DEVICE-1/token"
	assert_equal "$(cat "$M/devices/DEVICE-1/token")" "$TOKEN_1"
}

@test "a backup sees every token change, later than before, and nothing else" {
	local was
	mkdir "$T/sealed"
	fill 3
	fill 2 again
	look() {
		escrowfs mount "$S" "$T/sealed" -o sealed
		(cd "$T/sealed" && find . -type f ! -name audit -printf '%p %i %m %T@\n' | sort)
		umount "$T/sealed"
	}
	was=$(look)
	turn_over 2>/dev/null
	join <(echo "$was") <(look) >"$T/joined"
	assert_equal "$(wc -l <"$T/joined")" "$(echo "$was" | wc -l)"
	python3 - "$T/joined" <<'PY'
import sys
tokens = 0
for line in open(sys.argv[1]):
    name, inode, mode, time, inode_now, mode_now, time_now = line.split()
    assert (inode, mode) == (inode_now, mode_now), line
    is_seal = name.endswith("/token") or name.endswith(".pem")
    tokens += is_seal
    assert (float(time_now) > float(time)) == is_seal, line
assert tokens == 5, tokens
PY
}

@test "--list shows who can open the tokens, and needs no key" {
	fill 1
	mv "$S.key.pem" "$T/away"
	run -0 --separate-stderr escrowfs rekey "$S" --list
	assert_equal "${#lines[@]}" 3
	assert_equal "${lines[1]%% *}" "$(fingerprint "$S.recovery.pem" | tr -d : | tr A-F a-f)"
	[[ ${lines[0]} =~ ^[0-9a-f]{64}'  '[0-9]{4}-[0-9]{2}-[0-9]{2}'  daily'$ ]]
	assert_equal "${lines[2]}" '1 version is sealed to these, 0 to older recipients.'
	run -2 escrowfs rekey "$S" --list --retire abcd
	assert_has "$output" '--list changes nothing'
}

@test "the daily key is lost or stolen: the recovery key seals to a new one" {
	fill 3
	mv "$S.key.pem" "$T/stolen.pem"
	new_key new
	run -1 --separate-stderr escrowfs rekey "$S" --add "$T/new.pem"
	assert_has "$stderr" "none at $S.key.pem: name one with --key URI"
	run -0 --separate-stderr escrowfs rekey "$S" --key "$S.recovery.pem" --add "$T/new.pem" \
		--retire "$(fingerprint "$T/stolen.pem")"
	assert_turned_over 3 "$T/new.key.pem" "$T/stolen.pem"
	run -0 --separate-stderr escrowfs rekey "$S" --key "$T/new.key.pem" --remember
	assert_has "$output" 'Every version is sealed to the 2 recipients of today.'
	(cd / && escrowfs mount "$S" "$M")
	assert_equal "$(base64 -d "$M/devices/DEVICE-3/token")" 'bootstrap token  of device 3'
}

@test "what comes from a backup and was never opened is opened, checked and sealed" {
	fill 2
	sqlite3 "$S/escrow.db" 'UPDATE version SET verified = 0, mac = zeroblob(32), token_size = 0; UPDATE device SET token_size = 0'
	run -0 --separate-stderr turn_over
	mount_again -o key="$T/new.key.pem"
	assert_equal "$(base64 -d "$M/devices/DEVICE-2/token")" 'bootstrap token  of device 2'
	assert_equal "$(stat -c %s "$M/devices/DEVICE-2/token")" 41
}

@test "what doesn't open is named, left and counted, and the rest goes on" {
	fill 3
	new_key other
	# One sealed to somebody else, one moved from another device.
	printf x | openssl cms -encrypt -aes-256-gcm -outform DER -out "$T/foreign" \
		-recip "$T/other.pem" -keyopt ecdh_kdf_md:sha256 -aes256-wrap
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = readfile('$T/foreign') WHERE version = 1;
		UPDATE version SET digest = X'$(sha256sum "$T/foreign" | cut -c 1-64)' WHERE id = 1;
		UPDATE sealed SET blob = (SELECT blob FROM sealed WHERE version = 3) WHERE version = 2"
	run -1 --separate-stderr turn_over
	assert_has "$output" '1 version sealed anew'
	assert_has "$output" '1 version was left as it is: this private key opens none of them, and a retired one still may.'
	assert_has "$output" '1 version was left as it is: the seal is damaged'
	assert_has "$stderr" 'device DEVICE-1, version 1:'
	assert_has "$stderr" "device DEVICE-2, version 1: the seal is another device's"
	case $output in *'No older seal is left'*) false ;; esac
	run -1 --separate-stderr escrowfs rekey "$S" --key "$T/new.key.pem"
	run -0 --separate-stderr escrowfs rekey "$S" --list
	assert_has "$output" '1 version is sealed to these, 2 to older recipients'
}

@test "refused, with the reason, and nothing is changed" {
	local before
	fill 2
	new_key new
	new_key stranger
	before=$(escrowfs status "$S" | tail -n 1)
	openssl req -x509 -newkey ed25519 -noenc -subj /CN=x -keyout /dev/null -out "$T/ed.pem" 2>/dev/null
	openssl req -x509 -newkey rsa:1024 -noenc -subj /CN=x -keyout /dev/null -out "$T/weak.pem" 2>/dev/null
	echo nonsense >"$T/nonsense.pem"
	refused() { # STATUS WORDS ARGUMENTS...
		local status_wanted=$1 words=$2
		shift 2
		run -$status_wanted --separate-stderr escrowfs rekey "$S" "$@"
		assert_has "$stderr" "$words"
	}
	refused 1 "$T/ed.pem: the certificate's key is neither EC nor RSA" --add "$T/ed.pem"
	refused 1 "$T/weak.pem: the certificate's key is too weak" --add "$T/weak.pem"
	refused 1 "$T/nonsense.pem: no X.509 certificate in it" --add "$T/nonsense.pem"
	refused 1 "$T/none.pem" --add "$T/none.pem"
	refused 1 "$S.key.pem: this certificate is a recipient already, as \"daily\"" --add "$S.key.pem"
	refused 1 "$T/new.pem: this certificate is a recipient already" --add "$T/new.pem" --add "$T/new.pem"
	refused 1 'no recipient' --retire "$(fingerprint "$T/new.pem")"
	refused 1 'is no fingerprint' --retire daily
	refused 1 'too little of a fingerprint' --retire ab
	refused 1 'that would retire the last recipient' --retire "$(fingerprint "$S.key.pem")" --retire "$(fingerprint "$S.recovery.pem")"
	# One good one among them doesn't help.
	refused 1 'no recipient' --add "$T/new.pem" --retire 00000000
	# The new key opens nothing yet, and a stranger's never will.
	refused 1 "$T/new.key.pem: this private key opens none of the tokens in store $S" --key "$T/new.key.pem" --add "$T/new.pem"
	refused 1 'add its certificate first' --key "$T/stranger.key.pem" --remember
	refused 1 "$T/none.key" --key "$T/none.key"
	refused 2 '--remember needs --key' --remember
	refused 2 'needs a value' --add
	refused 2 'too much' more
	run -2 escrowfs rekey
	assert_has "$output" 'STORE is missing'
	run -1 escrowfs rekey "$T/nowhere"
	assert_has "$output" 'there is no store'
	assert_equal "$(escrowfs status "$S" | tail -n 1)" "$before"
}

@test "the first digits of a fingerprint are enough when no other starts so" {
	new_key new
	# Nobody looks at a recipient's signature: two certificates whose fingerprints start alike.
	python3 - "$T" <<'PY'
import hashlib, subprocess, sys
der = bytearray(subprocess.run(["openssl", "x509", "-in", sys.argv[1] + "/new.pem", "-outform", "DER"], capture_output=True).stdout)
seen = {}
for i in range(1 << 20):
    der[-4:] = i.to_bytes(4, "big")
    start = hashlib.sha256(der).hexdigest()[:4]
    if start in seen:
        break
    seen[start] = bytes(der)
open(sys.argv[1] + "/one.der", "wb").write(seen[start])
open(sys.argv[1] + "/two.der", "wb").write(der)
open(sys.argv[1] + "/start", "w").write(start)
PY
	escrowfs rekey "$S" --add "$T/one.der" --add "$T/two.der"
	run -1 --separate-stderr escrowfs rekey "$S" --retire "$(cat "$T/start")"
	assert_has "$stderr" "2 recipients of $S have a fingerprint that starts with $(cat "$T/start"): give more of it"
	run -0 escrowfs rekey "$S" --retire "$(fingerprint "$T/one.der" | cut -c1-23)"
	run -0 escrowfs rekey "$S" --list
	assert_has "$output" two.der
	case $output in *one.der*) false ;; esac
}

@test "it says when nobody, or only one, is left to open what is there" {
	fill 1
	new_key new
	run -0 --separate-stderr escrowfs rekey "$S" --add "$T/new.pem" --retire "$(fingerprint "$S.recovery.pem")"
	assert_has "$stderr" 'its recovery key is retired'
	run -0 --separate-stderr escrowfs rekey "$S" --retire "$(fingerprint "$S.key.pem")"
	assert_has "$stderr" 'one recipient is left, and no recovery key'
	assert_has "$stderr" "no recipient's any more"
	assert_has "$stderr" "escrowfs rekey $S --key URI --remember"
}

@test "on a terminal a line tells how far it is, and is gone in the end; elsewhere it is quiet for a minute" {
	fill 1500
	new_key new
	run -0 script -qec "'$ESCROWFS' rekey '$S' --add '$T/new.pem'" /dev/null
	assert_has "$output" $'\rversions sealed anew: '
	[[ $output =~ 'versions sealed anew: '[0-9]+' of 1500, '[0-9]+'/s' ]]
	assert_has "$output" $'\r\e[K'
	run -0 --separate-stderr escrowfs rekey "$S" --retire "$(fingerprint "$T/new.pem")"
	case $stderr in *'versions sealed anew:'*) false ;; esac
	assert_has "$output" '1500 versions sealed anew'
}

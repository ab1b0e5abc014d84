#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2154,SC2016 # tests are subshells; UDID is a plain word
# The Debian package: built, held against lintian, and its whole life in a root of its own: installed, used, upgraded,
# removed, purged. The root is made of what this machine's apt has.

load helper

setup_file() {
	export PACKED=$BATS_FILE_TMPDIR/build
	# It compiles all of it, with what Debian asks of a compiler.
	make -s -C "$BATS_TEST_DIRNAME/../.." BUILD="$PACKED" deb >"$BATS_FILE_TMPDIR/deb.log" 2>&1 || {
		tail -n 50 "$BATS_FILE_TMPDIR/deb.log"
		return 1
	}
	PACKAGE=$(echo "$PACKED"/deb/escrowfs_*.deb)
	export PACKAGE
}

# ---- a root of its own ----

# What apt on this machine installs from, of Debian's.
sources() { find /etc/apt -maxdepth 2 \( -name debian.sources -o -name sources.list \) -size +0; }

# In memory, for dpkg syncs each file; without Perl, which only the move to a merged /usr needs.
make_root() {
	R=$T/root
	local suite depends options=()
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	depends=$(dpkg-deb -f "$PACKAGE" Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|].*//' | grep -v '^$' | paste -sd,)
	mkdir "$R"
	mount -t tmpfs -o size=1g,mode=755 tmpfs "$R"
	apt-config dump | grep -iE '^Acquire::[a-z:]*proxy' >"$T/apt.conf" && options+=("--aptopt=$T/apt.conf")
	# shellcheck disable=SC2046 # names without blanks
	mmdebstrap --variant=essential --dpkgopt=force-unsafe-io "${options[@]}" \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="usr-is-merged,$depends" \
		"$suite" "$R" $(sources) >"$T/root.log" 2>&1 || {
		tail -n 30 "$T/root.log"
		return 1
	}
	mount --bind /dev "$R/dev"
	mount -t proc proc "$R/proc"
}

inside() { chroot "$R" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
here() { inside bash -euo pipefail -c "$1"; }

# The same package under another version: relabel VERSION OUT
relabel() {
	dpkg-deb -R "$PACKAGE" "$T/unpacked"
	sed -i "s/^Version: .*/Version: $1/" "$T/unpacked/DEBIAN/control"
	dpkg-deb -b "$T/unpacked" "$2" >/dev/null
	rm -rf "$T/unpacked"
}

@test "make deb: lintian has nothing to say, and all that the manual names is in it" {
	run -0 lintian --allow-root --fail-on error,warning "$(echo "$PACKED"/deb/escrowfs_*.changes)"
	assert_equal "$output" ''
	local file
	dpkg-deb -c "$PACKAGE" | awk '{ print $6 }' | sort >"$T/files"
	for file in ./usr/sbin/escrowfs ./sbin/mount.fuse.escrowfs ./lib/systemd/system/escrowfs@.service \
		./lib/systemd/system/escrowfs-backup@.timer ./usr/lib/tmpfiles.d/escrowfs.conf \
		./usr/share/bash-completion/completions/escrowfs ./usr/share/man/man8/escrowfs.8.gz \
		./usr/share/man/man5/escrowfs-store.5.gz ./usr/share/man/man7/escrowfs-recovery.7.gz \
		./usr/share/man/man7/escrowfs-threats.7.gz ./usr/share/doc/escrowfs/examples/fstab; do
		grep -qxF "$file" "$T/files" || { echo "$file"; false; }
	done
	run ! grep -E '/local/|/debian/' "$T/files"
}

@test "installed, used, upgraded with an old store, removed and purged, in a root of its own" {
	make_root
	relabel 0.0.9 "$R/old.deb"
	cp "$PACKAGE" "$R/new.deb"

	# installed
	here 'dpkg -i /old.deb'
	here 'getent passwd escrowfs | grep -q ":/var/lib/escrowfs:.*nologin"; test "$(stat -c "%U:%G %a" /var/lib/escrowfs /etc/escrowfs | sort -u)" = "root:escrowfs 750"'
	here 'escrowfs --version && cmp /usr/sbin/escrowfs "$(readlink -f /sbin/mount.fuse.escrowfs)"'

	# used, as the README has it, by mount(8)
	here 'mkdir /mnt/escrow
		escrowfs init /var/lib/escrowfs/escrow
		chown -R escrowfs: /var/lib/escrowfs/escrow
		echo "/var/lib/escrowfs/escrow /mnt/escrow fuse.escrowfs nofail 0 0" >/etc/fstab
		mount /mnt/escrow
		mkdir /mnt/escrow/devices/A
		echo dG9rZW4gb2YgQQ== >/mnt/escrow/devices/A/token
		cat /mnt/escrow/devices/A/token
		umount /mnt/escrow' | tail -n 1 >"$T/token"
	assert_equal "$(cat "$T/token")" dG9rZW4gb2YgQQ==

	# upgraded: a store as the first program made it is brought up to date
	here 'mkdir /var/lib/escrowfs/old && chmod 700 /var/lib/escrowfs/old'
	sqlite3 "$R/var/lib/escrowfs/old/escrow.db" <"$BATS_TEST_DIRNAME/../unit/schema_1.sql" >/dev/null
	here ': >/var/lib/escrowfs/old/lock; chown -R escrowfs: /var/lib/escrowfs/old; chmod 600 /var/lib/escrowfs/old/*'
	assert_equal "$(sqlite3 "$R/var/lib/escrowfs/old/escrow.db" 'PRAGMA user_version')" 1
	for _ in $(seq 50); do here 'escrowfs status /var/lib/escrowfs/escrow' | grep -q 'served by *nobody' && break; sleep 0.1; done
	here 'dpkg -i /new.deb' >"$T/upgrade" 2>&1
	run ! grep -iE 'warning|error|isn.t brought' "$T/upgrade"
	assert_equal "$(sqlite3 "$R/var/lib/escrowfs/old/escrow.db" 'PRAGMA user_version')" \
		"$(sqlite3 "$R/var/lib/escrowfs/escrow/escrow.db" 'PRAGMA user_version')"
	assert_equal "$(here 'find /var/lib/escrowfs/old /var/lib/escrowfs/escrow ! -user escrowfs')" ''
	here 'mount /mnt/escrow; cat /mnt/escrow/devices/A/token; umount /mnt/escrow' >"$T/token"
	assert_equal "$(cat "$T/token")" dG9rZW4gb2YgQQ==

	# a store that can't be brought up to date is named, and the package is installed all the same
	here 'mkdir /var/lib/escrowfs/broken; echo nonsense >/var/lib/escrowfs/broken/escrow.db; dpkg -i /new.deb' >"$T/broken" 2>&1
	assert_has "$(cat "$T/broken")" "/var/lib/escrowfs/broken isn't brought up to date"
	here "dpkg-query -W -f '\${Status}' escrowfs" | grep -q 'install ok installed'
	here 'rm -r /var/lib/escrowfs/broken'

	# removed, and purged: stores and keys stay, and are named
	here 'echo word >/etc/escrowfs/escrow.passphrase; dpkg -r escrowfs; ! command -v escrowfs; ! test -e /sbin/mount.fuse.escrowfs'
	here 'dpkg -P escrowfs' >"$T/purge" 2>&1
	assert_has "$(cat "$T/purge")" 'are left in /var/lib/escrowfs /etc/escrowfs'
	here 'test -e /var/lib/escrowfs/escrow/escrow.db; test -e /var/lib/escrowfs/escrow.key.pem; getent passwd escrowfs >/dev/null'
	assert_equal "$(here 'find / -xdev \( -path /proc -o -path /dev \) -prune -o -path "*escrowfs*" ! -path "/var/lib/escrowfs*" ! -path "/etc/escrowfs*" -print')" ''
	here "dpkg-query -W -f '\${Status}' escrowfs 2>/dev/null || echo none" >"$T/status"
	assert_equal "$(cat "$T/status")" none

	# with nothing left a purge leaves nothing
	here 'rm -r /var/lib/escrowfs/* /etc/escrowfs/*; dpkg -i /new.deb && dpkg -P escrowfs' >"$T/purge" 2>&1
	run ! grep -q 'are left' "$T/purge"
	here '! getent passwd escrowfs; ! test -e /var/lib/escrowfs; ! test -e /etc/escrowfs'
}

@test "without escrowfs: what escrowfs-store(5) says is how a token is read with sqlite3 and openssl" {
	local page=$BATS_TEST_DIRNAME/../../src/cli/escrowfs-store.5
	# step NAME: the page's commands of that name, as man(1) would show them, for this test's places.
	step() {
		awk -v step="$1" '$1 == ".\\\"" && $2 == "step:" { on = $3 == step } on && /^\.Bd/ { print_on = 1; next }
			/^\.Ed/ { if (print_on) exit } print_on' "$page" | sed "s|\\\\(aq|'|g; s|\\\\e|\\\\|g;
			s|/var/lib/escrowfs/escrow|$S|; s|/root/copy|$T/copy|; s|/run/recovery.pem|$S.recovery.pem|; s|c02xk1abcdef|c02x|; s|UDID|$UDID|"
	}
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo '{"SerialNumber": "C02X"}' >"$D/security.json"
	tail -n 3 "$M/audit" >"$T/trail"
	unmount
	bash -euc "$(step copy)"
	cd "$T/copy"
	assert_equal "$(bash -euc "$(step udid)")" "$UDID"
	assert_equal "$(bash -euc "$(step token)" | tail -n 1)" "$TOKEN_2"
	bash -euc "$(step all)"
	assert_equal "$(openssl cms -decrypt -inform DER -in "$UDID.1.der" -inkey "$S.key.pem" |
		plistutil -f xml | tr -d '\n\t' | grep -o '<data>.*</data>')" "<data>$TOKEN_1</data>"
	assert_has "$(bash -euc "$(step trail)")" "$(head -n 1 "$T/trail")"
	# what it says of the files' names and numbers
	assert_equal "$(sqlite3 escrow.db 'PRAGMA application_id; PRAGMA user_version' | paste -sd' ')" \
		"$(grep -oE 'is [0-9]{6,}' "$page" | tail -c +4) $(sed -n 's/^the number of the schema: \([0-9]*\)\.$/\1/p' "$page")"
	for file in "$S"/*; do grep -q "^.It Pa ${file##*/}\$" "$page" || { echo "$file"; false; }; done
	for table in $(sqlite3 escrow.db "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"); do
		grep -qE "^\.It Li ([a-z]+ , )?$table( ,|\$)" "$page" || { echo "$table"; false; }
	done
}

# shellcheck shell=bash disable=SC2034,SC2013 # the suites use the variables; mount points here have no blanks
# What the mounted suites share. Each test has a store and a mount of its own below $T, and both are gone
# afterwards, also when it failed.
#
#   $ESCROWFS   the program under test (tests/run sets it)
#   ESCROWFS_ASAN, ESCROWFS_TSAN, ESCROWFS_VALGRIND: how it was built
#   $T          this test's directory;  $S its store;  $M its mount point

bats_require_minimum_version 1.5.0
# The system's own tools, which other users may run as well.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
: "${ESCROWFS:=$BATS_TEST_DIRNAME/../../build/escrowfs}"
EXAMPLES=$BATS_TEST_DIRNAME/../../examples
UDID=9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E
TOKEN_1=$(printf 'bootstrap token number one' | base64)
TOKEN_2=$(printf 'bootstrap token number two' | base64)

setup() {
	T=$(mktemp -d /tmp/escrowfs-test.XXXXXX)
	chmod 755 "$T"
	S=$T/store M=$T/mnt
	mkdir "$M"
	if [ -n "${ESCROWFS_ASAN-}" ]; then
		export ASAN_OPTIONS=detect_leaks=1:log_path=$T/asan:exitcode=99
		export UBSAN_OPTIONS=print_stacktrace=1:log_path=$T/asan
	fi
	if [ -n "${ESCROWFS_TSAN-}" ]; then
		export TSAN_OPTIONS=log_path=$T/tsan:exitcode=99
	fi
	if declare -F prepare >/dev/null; then prepare; fi
}

teardown() {
	local report
	if declare -F cleanup >/dev/null; then cleanup; fi
	for m in $(awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/mounts | sort -r); do
		umount "$m" 2>/dev/null || { sleep 0.3; umount "$m" 2>/dev/null || umount -l "$m"; }
	done
	for _ in $(seq 100); do
		pgrep -f "escrowfs.* $T/" >/dev/null || break
		sleep 0.1
	done
	pkill -9 -f "escrowfs.* $T/" || :
	for report in "$T"/asan* "$T"/tsan* "$T"/valgrind*; do
		# (What valgrind itself has to say starts with dashes: it doesn't know mlock2(2).)
		if grep -qsv '^--' "$report"; then
			cat "$report"
			rm -rf "$T"
			return 1
		fi
	done
	rm -rf "$T"
}

# The program, under valgrind where that is asked for.
escrowfs() {
	if [ -n "${ESCROWFS_VALGRIND-}" ]; then
		valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite \
			--log-file="$T/valgrind.%p" "$ESCROWFS" "$@"
	else
		"$ESCROWFS" "$@"
	fi
}

# A store, mounted at $M with the given options.
mount_new() {
	escrowfs init "$S" >"$T/init.out"
	mount_again "$@"
}

mount_again() { escrowfs mount "$S" "$M" "$@"; }

# Unmounts and waits until the daemon has let go of the store.
unmount() {
	umount "${1:-$M}"
	for _ in $(seq 1200); do
		escrowfs status "$S" 2>/dev/null | grep -q 'served by  *nobody' && return
		sleep 0.05
	done
	return 1
}

# A new device with its directory in $D.
device() {
	mkdir "$M/devices/${1:-$UDID}"
	D=$M/devices/${1:-$UDID}
}

# A message: message TYPE [KEY=VALUE | KEY:=RAW-XML]...
message() {
	printf '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">\n<dict>\n'
	[ -z "$1" ] || printf '\t<key>MessageType</key>\n\t<string>%s</string>\n' "$1"
	shift
	local pair
	for pair; do
		case $pair in
		*:=*) printf '\t<key>%s</key>\n\t%s\n' "${pair%%:=*}" "${pair#*:=}" ;;
		*) printf '\t<key>%s</key>\n\t<string>%s</string>\n' "${pair%%=*}" "${pair#*=}" ;;
		esac
	done
	printf '</dict>\n</plist>\n'
}

# Results of the two queries: results SecurityInfo|QueryResponses INNER-XML [UDID]
results() { message '' CommandUUID=C Status=Acknowledged UDID="${3:-$UDID}" "$1:=<dict>$2</dict>"; }

set_token() { message SetBootstrapToken UDID="${2:-$UDID}" "BootstrapToken:=<data>$1</data>"; }
get_token() { message GetBootstrapToken UDID="${1:-$UDID}"; }

# Sends standard input to /checkin, prints the reply.
checkin() { cat >"$T/message" && { cat "$T/message" >&3 && cat <&3; } 3<>"$M/checkin"; }

# The token in a reply.
reply_token() { python3 -c 'import plistlib, sys, base64; print(base64.b64encode(plistlib.loads(sys.stdin.buffer.read())["BootstrapToken"]).decode())'; }

status_of() { cat "$M/devices/${1:-$UDID}/bootstrap_status"; }

# A key of security.json, by a Python expression over j: json_of '["Escrow"]["Status"]'
json_of() { python3 -c "import json, sys; print(json.load(open(sys.argv[1]))$1)" "$D/security.json"; }

# The last line of the trail, or the nth last.
trail() { tail -n "${1:-1}" "$M/audit" | head -n 1; }
# Lines of the trail so far.
lines() { wc -l <"$M/audit"; }

# As another user: as UID[:GID[,GROUP...]] COMMAND...
as() {
	local who=$1 uid gids
	shift
	uid=${who%%:*}
	gids=${uid}
	[ "$who" = "$uid" ] || gids=${who#*:}
	setpriv --reuid="$uid" --regid="${gids%%,*}" --groups="$gids" --inh-caps=-all --bounding-set=-all "$@"
}

# A TCP port of 127.0.0.1 that nobody has.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# errno COMMAND...: runs a Python statement over path p; prints the errno's name, or ok.
errno_of() {
	python3 - "$@" <<'PY'
import errno, os, sys
p = sys.argv[2] if len(sys.argv) > 2 else None
try:
    exec(sys.argv[1])
    print("ok")
except OSError as e:
    print(errno.errorcode[e.errno])
PY
}

assert_equal() {
	[ "$1" = "$2" ] || { printf 'is:        %s\nshould be: %s\n' "$1" "$2" && false; }
}

assert_has() {
	case $1 in *"$2"*) ;; *) printf 'is:          %s\nshould have: %s\n' "$1" "$2" && false ;; esac
}

# Waits up to $1 tenths of a second until the rest succeeds.
eventually() {
	local tries=$1
	shift
	for _ in $(seq "$tries"); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	"$@"
}

#!/bin/sh
# `make run` and `make stop`: an escrow of a dozen made-up devices, and a short walk through it.
#
#   demo.sh start|stop [DIRECTORY]
#
# The store and its keys are in DEMO (/var/lib/escrowfs-demo), mounted on ESCROW (/mnt/escrow). `start`
# begins anew each time; `stop` takes all of it away again. DIRECTORY is where the program is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
demo=${DEMO:-/var/lib/escrowfs-demo}
escrow=${ESCROW:-/mnt/escrow}
store=$demo/store

die() {
	echo "demo.sh: $*" >&2
	exit 1
}

# Where this demo's store is mounted; nothing when it isn't.
mounted_on() {
	# (Where a blank is \040.)
	STORE=$(printf %s "$store" | sed 's/ /\\040/g') awk '
		$1 == ENVIRON["STORE"] && $3 == "fuse.escrowfs" { gsub(/\\040/, " ", $2); print $2; exit }' /proc/mounts
}

stop() {
	# A killed daemon leaves its mount behind, too.
	while on=$(mounted_on) && [ -n "$on" ]; do
		umount "$on" || die "leave $on in every shell, end what reads there ('fuser -vm $on' lists it)," \
			"then run \`make stop\` again"
	done
	[ -e "$demo/made-by-demo.sh" ] || return 0
	tries=0
	while ! escrowfs status "$store" 2>/dev/null | grep -q '^served by *nobody'; do
		tries=$((tries + 1))
		[ $tries -gt 20 ] && break
		sleep 0.1
	done
	[ -e "$demo/mountpoint" ] && rmdir "$(cat "$demo/mountpoint")" 2>/dev/null
	rm -rf "$demo"
}

# Is a mount possible at all?
check() {
	[ "$(id -u)" -eq 0 ] || die "mounting for everybody takes root: run \`make run\` as root, or with sudo"
	[ -c /dev/fuse ] || modprobe fuse 2>/dev/null
	[ -c /dev/fuse ] || die "there is no /dev/fuse: load the kernel's module (modprobe fuse); a container" \
		"needs --device /dev/fuse --cap-add SYS_ADMIN"
	grep -qF " $escrow fuse" /proc/mounts && die "something is mounted on $escrow;" \
		"choose another place: make run ESCROW=/mnt/another"
	if [ -d "$escrow" ] && [ -n "$(ls -A "$escrow")" ]; then
		die "$escrow isn't empty; choose another place: make run ESCROW=/mnt/another"
	fi
}

# A path as it is typed.
typed() {
	case $1 in
	*[!A-Za-z0-9_/.:@+-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf %s "$1" ;;
	esac
}

show() {
	printf '\n$ %s\n' "$1"
	eval "$1" 2>&1
}

# shellcheck disable=SC2016 # what is shown is run as it is shown
walk() {
	show 'ls -l'
	show 'grep . devices/*/bootstrap_status'

	printf '\n--- reading a token retrieves it, writing one escrows it\n'
	show 'cat search/serialnumber/c02example07/token'
	show 'head -c 24 /dev/urandom | base64 >search/serialnumber/c02example05/token'
	show 'cat search/serialnumber/c02example05/bootstrap_status'

	printf '\n--- what the prerequisites forbid is refused, with the reason\n'
	show 'head -c 24 /dev/urandom | base64 >search/serialnumber/c02example04/token'
	show 'grep -A 1 Reasons search/serialnumber/c02example04/security.json'

	printf '\n--- who may read is said by owner, mode and ACL\n'
	show 'ls -lL search/serialnumber/c02example07/'
	show 'setpriv --reuid nobody --regid nogroup --clear-groups cat devices/0E5C0A00-0007-4000-8000-000000000007/token'

	printf '\n--- a message, as the MDM server passes it on, and the reply\n'
	show "{ cat '$here/messages/28-macos-14-GetBootstrapToken.plist' >&3; cat <&3; } 3<>checkin"

	printf '\n--- and every use is on the trail\n'
	show 'tail -n 4 audit'
}

start() {
	check
	mkdir -p "$(dirname "$demo")" && mkdir "$demo" && : >"$demo/made-by-demo.sh" || exit 1
	if ! [ -d "$escrow" ]; then
		mkdir -p "$escrow" || exit 1
		echo "$escrow" >"$demo/mountpoint"
	fi
	show "escrowfs init $(typed "$store")" || exit 1
	show "escrowfs mount $(typed "$store") $(typed "$escrow")" || exit 1
	show "escrowfs import $(typed "$store") $(typed "$here/messages")" || exit 1
	show "cd $(typed "$escrow")" || exit 1
	cd "$escrow" || exit 1
	walk
	cat <<END

The escrow stays mounted on $escrow; the store and its keys are in $demo.
Look around:

  ls $(typed "$escrow")/search/status/*
  cat $(typed "$escrow")/search/serialnumber/c02example08/security.json
  tail -F $(typed "$escrow")/audit
  ESCROW=$(typed "$escrow") $(typed "$here")/report.sh
  $(typed "$(command -v escrowfs)") status $(typed "$store")

\`make stop\` unmounts it and takes it away.
END
}

case $escrow:$demo in
/*:/*) ;;
*) die "ESCROW and DEMO are absolute paths" ;;
esac
[ $# -eq 2 ] && PATH=$2:$PATH
case ${1:-} in
start) stop && start ;;
stop) stop ;;
*) echo "usage: demo.sh start|stop [DIRECTORY]" >&2 && exit 2 ;;
esac

#!/bin/sh
# Runs a backup program over a store as of one moment: mounts it sealed, runs the program in that
# directory, unmounts. No key is needed, and none is in what is backed up.
#
#   backup.sh /var/lib/escrowfs/escrow restic -r /srv/restic backup .
#   backup.sh /var/lib/escrowfs/escrow borg create '/srv/borg::{now}' . /run/escrowfs-sealed.now
#   backup.sh /var/lib/escrowfs/escrow rsync -aA --delete ./ backup@vault:escrow/
#
# For tar there is backup-tar.sh, which calls this.
#
# SEALED is where it is mounted; /run/escrowfs-sealed unless set. The same place each time: restic and
# borg know a file by its path. Beside it SEALED.now is touched, for borg: it doesn't remember the
# newest files that it saw, so give it one that is newer than all.
#
# Exit: that of the program; 125 when it was called wrongly, or the store can't be mounted.
set -u
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
me=${0##*/}
sealed=${SEALED:-/run/escrowfs-sealed}

die() {
	echo "$me: $*" >&2
	exit 125
}

[ $# -ge 2 ] || die "usage: $me STORE PROGRAM [ARGUMENT...]"
store=$1
shift

# Held for as long as the program runs, too, should this script be killed before it.
touch "$sealed.lock" || die "set SEALED to a place where you may make a directory"
exec 9>"$sealed.lock"
flock -n 9 || die "$sealed is in use by another backup"

unmount() {
	cd /
	fusermount3 -u "$sealed" 2>/dev/null || fusermount3 -uz "$sealed"
	rmdir "$sealed"
}

# What a killed one left.
grep -qF " $sealed fuse.escrowfs " /proc/mounts && unmount
mkdir -p "$sealed" || exit 125
if ! escrowfs mount -o sealed "$store" "$sealed"; then
	rmdir "$sealed"
	exit 125
fi
trap unmount EXIT
touch "$sealed.now"
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

cd "$sealed" || exit 125
"$@"
exit $?

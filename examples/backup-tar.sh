#!/bin/sh
# An incremental backup of a store with GNU tar.
#
#   backup-tar.sh /var/lib/escrowfs/escrow /srv/backup/escrow.snar /srv/backup/escrow.$(date +%s).tar
#
# While escrow.snar isn't there the archive is a full one; after that each has what is new since the
# last. To restore, in the order in which they were made:
#
#   for a in escrow.*.tar; do tar -x --listed-incremental=/dev/null --acls -f $a; done
#
# tar goes by the clock, unlike the other programs: it takes what is newer than the start of its last
# run. Its files are older than that: they are as of when the store was mounted. So what came between
# would never be saved. Here escrow.snar gets a time before the mount, by a minute, since what is being
# written may bear the time at which it began. After the clock was set back, remove escrow.snar.
#
# Exit: as backup.sh, which see for SEALED. escrow.snar changes only when all went well.
set -u
me=${0##*/}
here=$(cd "$(dirname "$0")" && pwd)

if [ $# -ne 3 ]; then
	echo "usage: $me STORE SNAPSHOT-FILE ARCHIVE" >&2
	exit 125
fi
store=$1
# The program runs elsewhere.
snar=$(realpath "$2") && archive=$(realpath "$3") || exit 125

moment=$(($(date +%s) - 60))
rm -f "$snar.new"
if [ -e "$snar" ]; then
	cp "$snar" "$snar.new" || exit 125
fi
"$here/backup.sh" "$store" tar --create --file="$archive" --format=posix --acls \
	--no-check-device --listed-incremental="$snar.new" . || exit $?
# It begins with tar's version and, in two fields that end in a zero byte, the time: seconds, nanoseconds.
sed -z -i "1s/[0-9]*\$/$moment/; 2s/.*/0/" "$snar.new" && mv "$snar.new" "$snar"

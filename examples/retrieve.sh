#!/bin/sh
# Prints the token of a device, known by its serial number or its UDID: one line of base64.
#
#   retrieve.sh C02XK1ABCDEF | pbcopy
#
# Each call is a retrieval, and on the audit trail.
#
# Exit: 0 it was printed; 1 it can't be read; 2 usage; 3 no such device; 4 none is escrowed.
# ESCROW is where the escrow is mounted; /mnt/escrow unless set.
set -u
escrow=${ESCROW:-/mnt/escrow}

if [ $# -ne 1 ]; then
	echo "usage: ${0##*/} SERIAL|UDID" >&2
	exit 2
fi
case $1 in
'' | */* | .*) echo "${0##*/}: '$1' is neither a serial number nor a UDID" >&2 && exit 2 ;;
esac

if ! [ -x "$escrow/search" ]; then
	echo "${0##*/}: $escrow isn't mounted, or this user may not enter its search" >&2
	exit 1
fi

# By UDID first, in any case of letters, then by serial number.
for by in udid serialnumber; do
	device=$escrow/search/$by/$1
	[ -d "$device" ] && break
done
if ! [ -d "$device" ]; then
	echo "${0##*/}: $escrow has no device $1" >&2
	exit 3
fi

# The size tells, and retrieves nothing.
if ! [ -s "$device/token" ]; then
	echo "${0##*/}: $1 has no token: $(cat "$device/bootstrap_status")" >&2
	exit 4
fi
read -r status <"$device/bootstrap_status" && [ "$status" = stale ] &&
	echo "${0##*/}: $1 was set up anew since it gave this token, which may open nothing now" >&2
exec cat "$device/token"

#!/bin/sh
# Escrows a token for a device, known by its serial number or its UDID.
#
#   escrow.sh C02XK1ABCDEF <token.txt
#
# The token comes on standard input: base64, a SetBootstrapToken property list, or a sealed one (PEM).
# It never stands in an argument or a variable, where other users or a trace could see it.
#
# Exit: 0 it is escrowed; 1 it was refused; 2 usage; 3 no such device.
# ESCROW is where the escrow is mounted; /mnt/escrow unless set.
set -u
escrow=${ESCROW:-/mnt/escrow}

if [ $# -ne 1 ] || [ -t 0 ]; then
	echo "usage: ${0##*/} SERIAL|UDID <TOKEN" >&2
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

if ! [ -w "$device/token" ]; then
	echo "${0##*/}: this user may not write $device/token (owner, mode or ACL)" >&2
	exit 1
fi

# tee(1) hears the verdict: it comes with the write that completes the token, or with close. Nothing at all is
# written without complaint, so what passes is counted.
said=$({ { tee "$device/token" || echo refused >&3; } | wc -c; } 3>&1)
case $said in
*refused*)
	echo "${0##*/}: the token for $1 was refused; $escrow/audit says why" >&2
	exit 1
	;;
0)
	echo "${0##*/}: nothing came on standard input: no token was escrowed for $1" >&2
	exit 1
	;;
esac
echo "$1: $(cat "$device/bootstrap_status")"

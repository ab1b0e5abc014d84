# shellcheck shell=bash # part of run
# What a mount does: each operation beside the same on the floor (emptyfs.c: the emptiest filesystem with
# this tree), and beside what else a Debian has for it, in turns.
#
#   N=1000 | 100000 | 1000000     devices; 100000 unless said otherwise
#   ONLY='escrow|retrieval'       only rows whose name has it (a regular expression), pinned alone
#   SECTIONS='pinned free'        client and daemon on one processor; on all
#   CPU=0                         which; the one that devices interrupt least, unless said otherwise
#   PEERS=yes | no                beside the floor others, too: gocryptfs, ext4 ...; with ONLY it is no
#   ROUNDS=5 EACH=0.3             how many of a row, and the seconds of one measure
#   STORE=/var/tmp/some-store     this store, and its keys beside it; it is made if it isn't there, and
#                                 stays. Rows add tokens to it
#
# A client alone on a machine of its own is faster or slower by where the scheduler puts it and the
# daemon: pinned figures are the ones to hold. The rows are in rows.bash, the table is table.awk's; all
# of it is also in $BUILD/bench/results.tsv (results.only.tsv with ONLY), which `plot` draws.

# The processor that devices interrupt least: the disk's interrupts are enough to make a 99th percentile.
least_interrupted() {
	awk 'NR == 1 { n = NF } $1 ~ /^[0-9]+:$/ { for (i = 0; i < n; i++) count[i] += $(i + 2) }
		END { for (i = 0; i < n; i++) if (count[i] < count[least]) least = i; print least + 0 }' /proc/interrupts
}

CLIENT=$BUILD/bench/client PARTS=$BUILD/bench/parts
ROUNDS=${ROUNDS:-5} EACH=${EACH:-0.3} CPU=${CPU:-$(least_interrupted)}
[ -n "${SECTIONS:-}${ONLY:-}" ] || SECTIONS='pinned free'
SECTIONS=${SECTIONS:-pinned}
PEERS=${PEERS:-${ONLY:+no}} PEERS=${PEERS:-yes}
TEN=10000  # devices that programs walk through
SEEN=500   # devices that are looked at again and again
NEVER=5000 # and once
RESULTS=$BUILD/bench/results${ONLY:+.only}.tsv

declare -A DAEMON # process, by what is mounted
PIN=() # taskset, while pinned

# ---- stores and what else there is of it ----

# fill STORE COUNT: COUNT devices, each with a token that is sealed to two recipients.
fill() {
	echo "(making a store of $2 devices)" >&2
	./devices.py csv "$2" >"$T/csv"
	{ "$ESCROWFS" init "$1" && "$ESCROWFS" import "$1" "$T/csv"; } >"$T/log" 2>&1 || { cat "$T/log" >&2; exit 1; }
	rm "$T/csv"
}

devices() { sqlite3 "$1/escrow.db" 'SELECT count(*) FROM device WHERE removed_at = 0'; }
# In an order that is random, but always the same.
mixed() { shuf --random-source=<(yes); }
names() { sqlite3 "$1/escrow.db" 'SELECT udid FROM device WHERE removed_at = 0' | mixed; }
floor_names() { seq 256 $((255 + $1)) | awk '{ printf "%08X-0000-4000-8000-000000000000\n", $1 }' | mixed; }

# lists NAME: $T/NAME.{all,one,seen,never,others} from standard input. Of a million 100000 do.
lists() {
	head -n 100000 >"$T/$1.all"
	head -n 1 "$T/$1.all" >"$T/$1.one"
	head -n "$SEEN" "$T/$1.all" >"$T/$1.seen"
	tail -n +"$((SEEN + 1))" "$T/$1.all" >"$T/$1.others"
	head -n "$NEVER" "$T/$1.others" >"$T/$1.never"
}

store() {
	STORE=${STORE:-$T/store}
	[ -e "$STORE" ] || fill "$STORE" "${N:-100000}"
	cat "$STORE/escrow.db" >/dev/null # it may have been made long ago
	N=$(devices "$STORE")
	names "$STORE" | lists live
	floor_names "$N" | lists floor
	store() { :; }
}

store_of_ten() {
	fill "$T/ten" "$TEN"
	names "$T/ten" | lists ten
	store_of_ten() { :; }
}

# copied FROM TO: the files of one device, for the floor to show.
copied() {
	local file from
	from=$(find "$1/devices" -mindepth 1 -maxdepth 1 | sed -n 7p)
	mkdir -p "$2"
	for file in security.json bootstrap_status token; do cat "$from/$file" >"$2/$file"; done
}

# What a sealed mount shows, as plain files.
plain() {
	mounted sealed
	mkdir "$T/plain"
	tar -C "$T/mnt/sealed" --exclude history -cf - devices | tar -C "$T/plain" -xf -
	plain() { :; }
}

encrypted() {
	plain
	mkdir "$T/cipher"
	echo password >"$T/password"
	gocryptfs -q -init -scryptn 10 -passfile "$T/password" "$T/cipher"
	encrypted() { :; }
}

# ---- mounts ----

# What stands below $T/mnt by that name: made ready before it is mounted.
ready() {
	case $1 in
	live | snapshot) store ;;
	floor) store; [ -d "$T/device" ] || { mounted live; copied "$T/mnt/live" "$T/device"; } ;;
	ten | sealed) store_of_ten ;;
	look) ready floor ;;
	look_ten) store_of_ten; ready floor_ten ;;
	look_sealed) store_of_ten; ready floor_sealed ;;
	limit_*)
		ready floor
		store_of_ten
		rm -f "$T/$1".db*
		sqlite3 "$T/ten/escrow.db" ".backup $T/$1.db"
		;;
	floor_ten) [ -d "$T/device.ten" ] || { mounted ten; copied "$T/mnt/ten" "$T/device.ten"; } ;;
	floor_sealed) [ -d "$T/device.sealed" ] || { mounted sealed; copied "$T/mnt/sealed" "$T/device.sealed"; } ;;
	gocryptfs)
		[ -d "$T/cipher" ] && return
		encrypted
		mounted gocryptfs
		cp -r "$T/plain/devices" "$T/mnt/gocryptfs"
		;;
	esac
}

serve() {
	local at=$T/mnt/$1
	set -- "$1" "${PIN[@]}"
	case $1 in
	live) set -- "$@" "$ESCROWFS" mount -f "$STORE" "$at" ;;
	snapshot) set -- "$@" "$ESCROWFS" mount -f -o sealed "$STORE" "$at" ;;
	ten) set -- "$@" "$ESCROWFS" mount -f "$T/ten" "$at" ;;
	sealed) set -- "$@" "$ESCROWFS" mount -f -o sealed "$T/ten" "$at" ;;
	floor) set -- "$@" "$BUILD/bench/emptyfs" "$N" "$at" "$T/device" ;;
	limit_*) set -- "$@" "$BUILD/bench/limitfs" "$N" "$at" "$T/device" "${1#limit_}" "$T/$1.db" "$STORE.key.pem" "$STORE.recovery.pem" ;;
	look) set -- "$@" "$BUILD/bench/lookfs" "$N" "$at" "$T/device" "$STORE/escrow.db" ;;
	look_ten) set -- "$@" "$BUILD/bench/lookfs" "$TEN" "$at" "$T/device.ten" "$T/ten/escrow.db" ;;
	look_sealed) set -- "$@" "$BUILD/bench/lookfs" -s "$TEN" "$at" "$T/device.sealed" "$T/ten/escrow.db" ;;
	floor_ten) set -- "$@" "$BUILD/bench/emptyfs" "$TEN" "$at" "$T/device.ten" ;;
	floor_sealed) set -- "$@" "$BUILD/bench/emptyfs" -s "$TEN" "$at" "$T/device.sealed" ;;
	gocryptfs) set -- "$@" gocryptfs -fg -q -passfile "$T/password" "$T/cipher" "$at" ;;
	esac
	exec "${@:2}"
}

mounted() {
	[ -z "${DAEMON[$1]:-}" ] || return 0
	ready "$1"
	[ -z "${DAEMON[$1]:-}" ] || return 0
	mkdir -p "$T/mnt/$1"
	(serve "$1") 2>"$T/log.$1" &
	DAEMON[$1]=$!
	until mountpoint -q "$T/mnt/$1" && stat "$T/mnt/$1" >"$T/log" 2>&1; do
		kill -0 "${DAEMON[$1]}" || { cat "$T/log.$1" >&2; exit 1; }
		sleep 0.01
	done
}

unmounted() {
	[ -n "${DAEMON[$1]:-}" ] || return 0
	umount "$T/mnt/$1" || umount -l "$T/mnt/$1"
	wait "${DAEMON[$1]}" || :
	unset "DAEMON[$1]"
}

# Mounted anew: neither kernel nor daemon remember anything.
fresh() {
	unmounted "$1"
	mounted "$1"
}

nothing_mounted() {
	local name
	for name in "${!DAEMON[@]}"; do unmounted "$name"; done
}

# ---- rows ----

# row NAME UNIT PEER "TARGET..." FUNCTION ARGUMENT...
#
# Each round FUNCTION sets E (escrowfs), F (the floor, or what else it is held against) and P (the PEER; -
# for none, and then its targets don't count) in UNIT. A TARGET is "floor>=0.9", "peer<=0.2" (the ratio of E to one of them) or "value<=50"; of
# "floor>=4|peer>=0.8" one will do.
row() {
	local name=$1 unit=$2 peer=$3 targets=$4 round
	shift 4
	[[ $name =~ ${ONLY:-} ]] || return 0
	for ((round = 1; round <= ROUNDS; round++)); do
		E=- F=- P=-
		"$@"
		echo "$E $F $P"
	done >"$T/samples"
	awk -f table.awk -v section="$SECTION" -v name="$name" -v unit="$unit" -v peer="$peer" -v targets="$targets" \
		-v results="$RESULTS" "$T/samples"
}

# once ROW-ARGUMENTS...: for what is the same each time.
once() { ROUNDS=1 row "$@"; }

# shellcheck source=tests/bench/rows.bash
. ./rows.bash

mount() {
	T=$TOP/mount
	mkdir "$T"
	printf 'section\toperation\tunit\tescrowfs\tfloor\tpeer\tpeer is\tratio\tto\tsense\ttarget\tspread\tmet\n' >"$RESULTS"
	for SECTION in $SECTIONS; do
		PIN=()
		[ "$SECTION" = free ] || PIN=(taskset -c "$CPU")
		nothing_mounted
		awk -f table.awk -v section="$SECTION" -v heading=1 /dev/null
		rows
	done
	nothing_mounted
	[ -n "${ONLY:-}" ] || ./plot "$RESULTS"
}

# shellcheck shell=bash # part of run
# What is moved: how fast many devices go in, are sealed anew and are backed up, and in how much memory.
#
# A rate by itself says little of a noisy machine. So beside each that is bounded by sealing stands the
# floor: a bare loop that seals, or opens and seals, to the same recipients on all processors (floor.c), in
# turns with the program (measure.c). Everything is done with a tenth of the devices first: the most
# memory that the program had is shown for both, and should be about the same.
DEVICES=${DEVICES:-100000}
FLOOR_SECONDS=2

# ---- measuring ----

declare -A small_peak

# line NAME SECONDS PEAK_KIB FLOOR: shows a measure of all devices, and keeps the peak of one of a tenth.
line() {
	if [ "$N" -ne "$DEVICES" ]; then
		small_peak[$1]=$3
		return
	fi
	awk -v name="$1" -v n="$N" -v took="$2" -v small="${small_peak[$1]}" -v peak="$3" -v floor="$4" '
	BEGIN {
		printf "%-32s %9.1f %10.0f %10s %9s %11.1f %10.1f\n", name, took, n / took,
			(floor > 0) ? sprintf("%.0f", floor) : "-",
			(floor > 0) ? sprintf("%.2f", n / took / floor) : "-", small / 1024, peak / 1024
	}'
}

# measure NAME "FLOOR..." COMMAND...: what it prints is in $T/out.
measure() {
	local name=$1 floor=$2 took peak
	shift 2
	[ -z "$floor" ] || floor="'$BUILD/bench/floor' $floor"
	"$BUILD/bench/measure" "$T/result" "$floor" "$@" >"$T/out" 2>"$T/err" ||
		{ cat "$T/out" "$T/err" >&2; exit 1; }
	read -r took peak floor <"$T/result"
	line "$name" "$took" "$peak" "$floor"
}

# Did all that was to happen? says ROW COUNT
says() {
	awk -v row="$1" -v count="$2" 'index($0, "  " row " ") == 1 && $NF == count { found = 1 } END { exit !found }' "$T/out" ||
		{ echo "import should say: $1 $2" >&2; cat "$T/out" >&2; exit 1; }
}

mount_sealed() {
	"$ESCROWFS" mount "$1" "$T/mnt" -o sealed -f 2>"$T/log" &
	DAEMON=$!
	until mountpoint -q "$T/mnt"; do
		kill -0 "$DAEMON" || { cat "$T/log" >&2; exit 1; }
		sleep 0.05
	done
}

unmount() {
	umount "$T/mnt"
	wait "$DAEMON"
	DAEMON=
}

# ---- the measures ----

store() { "$ESCROWFS" init "$T/$1" ${2:+--key "$2"} >"$T/out"; }
seal() { echo "seal $FLOOR_SECONDS $T/$1.key.pem $T/$1.recovery.pem"; }
reseal() { echo "reseal $FLOOR_SECONDS $T/$1.key.pem $T/$2"; }

import_csv() {
	./devices.py csv "$N" >"$T/source"
	store csv
	measure 'import: CSV' "$(seal csv)" "$ESCROWFS" import "$T/csv" "$T/source"
	says 'tokens new' "$N"
	measure 'import: the same again' '' "$ESCROWFS" import "$T/csv" "$T/source"
	says 'tokens the same' "$N"
}

# import_messages FORM NAME
import_messages() {
	./devices.py "$1" "$N" >"$T/source"
	store messages
	measure "$2" "$(seal messages)" "$ESCROWFS" import "$T/messages" "$T/source"
	says 'tokens new' "$N"
	rm -rf "$T/source" "$T"/messages*
}

# (It opens no file whose archive goes to /dev/null itself.)
tar_sealed() {
	local peak
	mount_sealed "$T/csv"
	"$BUILD/bench/measure" "$T/result" '' sh -c "tar -C '$T/mnt' -cf - . | cat >/dev/null"
	# Of the process that serves: its parent unmounts.
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$(pgrep -P "$DAEMON")/status")
	line 'tar of a sealed mount' "$(cut -d ' ' -f 1 "$T/result")" "$peak" 0
	mkdir "$T/tree"
	tar -C "$T/mnt" -cf - . | tar -C "$T/tree" -xf -
	unmount
}

# Into a new store, which has the same daily key and a recovery key of its own.
import_tree() {
	store tree "$T/csv.key.pem"
	measure 'import: a sealed tree' "$(reseal csv tree.recovery.pem)" "$ESCROWFS" import "$T/tree" "$T/tree.source"
	says 'tokens new' "$N"
	rm -rf "$T"/tree*
}

rekey() {
	store new
	measure 'rekey' "$(reseal csv csv.recovery.pem) $T/new.key.pem" "$ESCROWFS" rekey "$T/csv" --add "$T/new.key.pem"
}

suite() {
	local N=$1
	mkdir "$T/mnt"
	import_csv
	import_messages messages 'import: messages'
	import_messages enrolments 'import: messages, 3 a device'
	tar_sealed
	mv "$T/tree" "$T/tree.source"
	import_tree
	rekey
	rm -rf "${T:?}"/*
}

moving() {
	[ "$DEVICES" -ge 1000 ] || { echo 'make bench: with less than 1000 devices it says nothing' >&2; exit 2; }
	T=$TOP/moving
	mkdir "$T"
	echo 'Floor: sealing alone on all processors, or opening and sealing, in turns with the program.'
	echo
	suite $((DEVICES / 10)) >&2
	printf '%-32s %9s %10s %10s %9s %11s %10s\n' "$DEVICES devices" seconds devices/s floor/s 'of floor' \
		"MiB, $((DEVICES / 10))" "MiB, $DEVICES"
	suite "$DEVICES"
}

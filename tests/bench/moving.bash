# shellcheck shell=bash # part of run
# What is moved: how fast many devices go in, are sealed anew and are backed up, and in how much memory.
#
# A rate by itself says little of a noisy machine. So beside each that is bounded by sealing stands the
# floor: a bare loop that seals, or opens and seals, to the same recipients on all processors (floor.c), in
# turns with the program (measure.c). Everything is done with a tenth of the devices first: the most
# memory that the program had is shown for both, and should be about the same.
DEVICES=${DEVICES:-100000}
FLOOR_SECONDS=2
ROUNDS=${ROUNDS:-5}

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

# run_measured "FLOOR..." COMMAND...: seconds, KiB and the floor are in $T/result, what it prints is in $T/out.
run_measured() {
	local floor=$1
	shift
	[ -z "$floor" ] || floor="'$BUILD/bench/floor' $floor"
	"$BUILD/bench/measure" "$T/result" "$floor" "$@" >"$T/out" 2>"$T/err" ||
		{ cat "$T/out" "$T/err" >&2; exit 1; }
}

# measure NAME "FLOOR..." COMMAND...
measure() {
	local name=$1 took peak floor
	shift
	run_measured "$@"
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

# The middle one of so many, each into a store of its own; of the tenth one will do.
import_csv() {
	local round took peak floor rounds=$ROUNDS
	[ "$N" -eq "$DEVICES" ] || rounds=1
	./devices.py csv "$N" >"$T/source"
	for ((round = 0; round < rounds; round++)); do
		rm -rf "$T"/csv*
		store csv
		run_measured "$(seal csv)" "$ESCROWFS" import "$T/csv" "$T/source"
		says 'tokens new' "$N"
		cat "$T/result"
	done >"$T/results"
	# By what it reached of the floor.
	read -r _ took peak floor < <(awk '{ print $1 * $3, $0 }' "$T/results" | sort -n | sed -n "$((rounds / 2 + 1))p")
	line 'import: CSV' "$took" "$peak" "$floor"
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

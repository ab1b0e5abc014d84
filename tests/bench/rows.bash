# shellcheck shell=bash disable=SC2034 # part of mount.bash, which uses E, F and P
# The rows: one for each target. A function measures once, on each side in turn.

# ---- one measure ----

where() { if [ "$1" = plain ]; then echo "$T/plain"; else echo "$T/mnt/$1"; fi; }

# client MOUNT LIST [OPTION...] OPERATION: sets RATE (a second), P50 and P99 (ns).
client() {
	local at list=$T/$2
	at=$(where "$1")
	shift 2
	read -r RATE P50 P99 _ < <("${PIN[@]}" "$CLIENT" -s "$EACH" "$@" "$at" "$list")
}

# part commit|escrow|retrieval|seal|open [THREADS [BATCH]]: sets RATE.
part() {
	local what=("$STORE.key.pem" "$STORE.recovery.pem")
	case $1 in
	commit) what=("$T/commit.db") ;;
	escrow | retrieval)
		what=("$T/commit.db")
		store_of_ten
		sqlite3 "$T/ten/escrow.db" ".backup $T/commit.db"
		;;
	esac
	read -r RATE _ < <("${PIN[@]}" "$PARTS" -s "$EACH" -t "${2:-1}" -b "${3:-1}" "$1" "${what[@]}")
	rm -f "$T"/commit.db*
}

# How many processors there are for it.
processors() { if [ ${#PIN[@]} -gt 0 ]; then echo 1; else nproc; fi; }

# took MOUNT COMMAND-LINE: sets TOOK (seconds).
took() {
	local began
	began=${EPOCHREALTIME/[.,]/}
	(cd "$(where "$1")" && "${PIN[@]}" sh -c "$2") >"$T/log"
	TOOK=$((${EPOCHREALTIME/[.,]/} - began))
	TOOK=$((TOOK / 1000000)).$(printf %06d $((TOOK % 1000000)))
}

# after RATE...: how many a second if one waits for all of them, one after the other.
after() { awk 'BEGIN { for (i = 1; i < ARGC; i++) sum += 1 / ARGV[i]; printf "%.1f\n", 1 / sum }' "$@"; }
calc() { awk "BEGIN { print $* }"; }

# ---- looking ----

# look MOUNT LIST CLIENT-ARGUMENT...: there, on the floor and, beside escrowfs itself, in gocryptfs. MOUNT is live,
# or look: what a filesystem takes that does nothing else (lookfs.c).
look() {
	local at=$1 list=$2
	shift 2
	mounted "$at"; mounted floor
	client "$at" "live.$list" "$@"; E=$RATE
	client floor "floor.$list" "$@"; F=$RATE
	[ "$PEERS $at" != 'yes live' ] || { mounted gocryptfs; client gocryptfs "ten.$list" "$@"; P=$RATE; }
}

# anew MOUNT LIST: some others of the list are looked at first. Daemons are never as new as that.
anew() {
	fresh "$1"
	client "$1" "$2.seen" -1 stat
}

look_anew() {
	anew "$1" live; anew floor floor
	[ "$PEERS $1" != 'yes live' ] || anew gocryptfs ten
	look "$@"
}

# walk COMMAND-LINE MOUNT FLOOR. The peer takes long, and shows nothing else when it is free.
walk() {
	local line=$1 name times=()
	shift
	[ "$PEERS $SECTION" != 'yes pinned' ] || [[ $1 == look_* ]] || set -- "$@" gocryptfs
	for name; do
		fresh "$name"
		took "$name" "$line"
		times+=("$TOOK")
		rm -rf "$SHM/dump"
	done
	E=${times[0]} F=${times[1]} P=${times[2]:--}
}

# ---- escrow and retrieval ----

# sum_of OPERATION COMMIT SEAL: E is how fast it is, F what its parts take one after the other; and COMMIT.
sum_of() {
	local seal request
	mounted live; mounted floor
	client live live.all "$1"; E=$RATE
	part "$2"; COMMIT=$RATE
	part "$3"; seal=$RATE
	client floor floor.all "$1"; request=$RATE
	F=$(after "$COMMIT" "$seal" "$request")
}

escrow_one() {
	sum_of escrow commit seal
	[ "$PEERS" = no ] || { plain; client plain ten.all -y escrow; P=$RATE; }
}

# What is left to gain: held against a commit of all that it has to write.
escrow_rows() {
	sum_of escrow escrow seal
	P=$COMMIT
}

# By how many times more than one writer; and of sealing alone.
escrow_many() {
	mounted live
	client live live.all -t "$1" escrow; E=$RATE
	client live live.all escrow; F=$RATE
	part seal "$(processors)"; P=$RATE
}

retrieve_one() {
	sum_of retrieve commit open
	P=$COMMIT
}

retrieve_rows() {
	sum_of retrieve retrieval open
	P=$COMMIT
}

retrieve_many() {
	mounted live
	client live live.all -t "$1" retrieve; E=$RATE
	part open "$(processors)"; F=$RATE
}

# ---- how much of a target there is to be had: there is nothing of escrowfs in these but its seals ----
# (What looks take is above.)

# limit_one OPERATION ROWS SEAL: the floor that does both, with a commit of what has to be written. P is what
# these take one after the other.
limit_one() {
	local commit seal request rows
	mounted floor
	part commit; commit=$RATE
	part "$3"; seal=$RATE
	client floor floor.all "$1"; request=$RATE
	F=$(after "$commit" "$seal" "$request")
	part "$2"; rows=$RATE
	P=$(after "$rows" "$seal" "$request")
	mounted "limit_$2"
	client "limit_$2" floor.all "$1"; E=$RATE
}

# limit_many CLIENTS OPERATION ROWS SEAL: the floor's requests, the seals, and rows of which as many share a
# commit as there are workers, all on the same processors. (One thread writes, whatever there is.)
limit_many() {
	mounted floor
	part "$4" "$(processors)"; F=$RATE
	client floor floor.all -t "$1" "$2"; P=$RATE
	part "$3" 1 16; E=$(after "$F" "$P" "$(calc "$RATE * $(processors)")")
}

# check_in CLIENTS OPERATION OF-TOKEN
check_in() {
	mounted live
	client live live.all -t "$1" "$2"; E=$RATE
	client live live.all -t "$1" "$3"; F=$RATE
}

# cat_token MOUNT LIST
cat_token() {
	local commit
	plain; mounted "$1"
	client "$1" "$2.all" -f token cat; E=$(calc "1e3 / $RATE")
	client plain ten.all -f token cat; P=$(calc "1e3 / $RATE")
	part commit; commit=$RATE
	part open; F=$(calc "$P + 1e3 / $commit + 1e3 / $RATE")
}

# ---- the 99th percentile, while another escrows all the time, so that checkpoints run ----

# late MOUNT quiet|snapshot LIST CLIENT-ARGUMENT... F is the median; P what it is on the floor meanwhile.
late() {
	local background of=$1 beside=$2 list=$3
	shift 3
	mounted live; mounted floor
	[ "$list" != never ] || { fresh live; fresh floor; }
	[ "$beside" = quiet ] || fresh snapshot
	"${PIN[@]}" "$CLIENT" -s 3600 escrow "$T/mnt/live" "$T/live.others" &
	background=$!
	sleep 0.1
	client "$of" "$of.$list" "$@"
	E=$(calc "$P99 / 1e3") F=$(calc "$P50 / 1e3")
	[[ "$of $*" =~ ^floor|' '[sg]et$ ]] || { client floor "floor.$list" "$@"; P=$(calc "$P99 / 1e3"); }
	kill "$background"
	wait "$background" || :
	unmounted snapshot
}

late_rows() {
	local when=$1 beside=$2
	row "p99: stat, $when" µs floor 'p50<=5' late live "$beside" seen stat
	row "limit: p99: stat, $when" µs - 'p50<=5' late floor "$beside" seen stat
	row "p99: open+read+close, $when" µs floor 'p50<=5' late live "$beside" seen read
	row "limit: p99: open+read+close, $when" µs - 'p50<=5' late floor "$beside" seen read
	row "p99: open+read+close, never seen, $when" µs floor 'p50<=5' late live "$beside" never -1 read
	row "limit: p99: open+read+close, never seen, $when" µs - 'p50<=5' late floor "$beside" never -1 read
	row "p99: escrow, $when" µs floor 'p50<=5' late live "$beside" all escrow
	row "p99: escrow, 64 writers, $when" µs floor 'p50<=5' late live "$beside" all -t 64 escrow
	row "p99: retrieval, $when" µs floor 'p50<=5' late live "$beside" all retrieve
	row "p99: retrieval, 64 readers, $when" µs floor 'p50<=5' late live "$beside" all -t 64 retrieve
	row "p99: SetBootstrapToken, $when" µs - 'p50<=5' late live "$beside" all set
	row "p99: GetBootstrapToken, $when" µs - 'p50<=5' late live "$beside" all get
}

# ---- what it takes ----

# mount_ready STORE: sets TOOK. The command returns when the mount answers.
mount_ready() {
	mkdir -p "$T/mnt/ready"
	took ready "cd / && exec '$ESCROWFS' mount '$1' '$T/mnt/ready'"
	umount "$T/mnt/ready"
	until "$ESCROWFS" status "$1" | grep -q 'served by  *nobody'; do sleep 0.02; done
}

ready_in_ms() {
	store
	unmounted live
	mount_ready "$STORE"; E=$(calc "$TOOK * 1e3")
}

ready_both() {
	ready_in_ms
	[ -e "$T/thousand" ] || fill "$T/thousand" 1000
	mount_ready "$T/thousand"; F=$(calc "$TOOK * 1e3")
}

# memory FIELD: of /proc/PID/status, in MiB, after every file was found and many escrowed and read.
memory() {
	if [ -z "${LOADED:-}" ]; then
		fresh live
		took live 'find devices'
		client live live.all -1 read
		client live live.all -t 64 escrow
		client live live.all -t 64 retrieve
		LOADED=yes
	fi
	# The one that serves: its parent unmounts.
	E=$(awk -v field="$1:" '$1 == field { print $2 / 1024 }' "/proc/$(pgrep -P "${DAEMON[live]}")/status")
}

store_bytes() {
	store
	E=$(sqlite3 "$STORE/escrow.db" "SELECT sum(pgsize) FROM dbstat WHERE name NOT IN
		('trail', 'sqlite_autoindex_trail_1')")
	E=$(calc "$E / $N")
}

# ---- all of them ----

# walk_row NAME WALK-ARGUMENT...
walk_row() { row "$1, $TEN devices" s gocryptfs 'floor<=1.3 peer<=0.2' walk "${@:2}"; }

rows() {
	local file
	[ "$SECTION" = free ] || once 'store, the trail apart, a device' B - 'value<=2048' store_bytes
	for file in security.json bootstrap_status; do
		row "stat $file, seen before" /s gocryptfs 'floor>=0.95' look live seen -f "$file" stat
		row "open+read+close $file, seen before" /s gocryptfs 'floor>=0.95' look live seen -f "$file" read
		row "stat $file, never seen" /s gocryptfs 'floor>=0.6' look_anew live never -1 -f "$file" stat
		row "limit: stat $file, never seen" /s - 'floor>=0.6' look_anew look never -1 -f "$file" stat
		row "open+read+close $file, never seen" /s gocryptfs 'floor>=0.6' look_anew live never -1 -f "$file" read
		row "limit: open+read+close $file, never seen" /s - 'floor>=0.6' look_anew look never -1 -f "$file" read
	done
	row 'ls -f /devices' names/s gocryptfs 'floor>=0.6' look live seen list
	row 'limit: ls -f /devices' names/s - 'floor>=0.6' look look seen list
	row 'ls -l /devices, never seen' names/s gocryptfs 'floor>=0.8' look_anew live one -1 list-stat
	walk_row find 'find devices' ten floor_ten
	walk_row 'grep -L' 'grep -L escrowed devices/*/bootstrap_status || :' ten floor_ten
	row "limit: grep -L, $TEN devices" s - 'floor<=1.3' walk 'grep -L escrowed devices/*/bootstrap_status || :' look_ten floor_ten
	walk_row 'tar, sealed' 'tar -cf - devices | cat' sealed floor_sealed
	row "limit: tar, sealed, $TEN devices" s - 'floor<=1.3' walk 'tar -cf - devices | cat' look_sealed floor_sealed
	walk_row 'rsync -a, sealed' "rsync -a devices/ $SHM/dump" sealed floor_sealed
	row "limit: rsync -a, sealed, $TEN devices" s - 'floor<=1.3' walk "rsync -a devices/ $SHM/dump" look_sealed floor_sealed
	row 'escrow, 1 writer' /s ext4+fsync 'floor>=0.9' escrow_one
	row 'escrow, 1 writer, of its own rows' /s 'these rows' 'floor>=0.9' escrow_rows
	row 'limit: escrow, 1 writer' /s 'their sum' 'floor>=0.9' limit_one escrow escrow seal
	row 'escrow, 8 writers, of 1' /s sealing 'floor>=4|peer>=0.8' escrow_many 8
	row 'escrow, 64 writers, of 1' /s sealing 'floor>=8|peer>=0.8' escrow_many 64
	row 'limit: escrow, 64 writers, of sealing' /s 'the requests' 'floor>=0.8' limit_many 64 escrow escrow seal
	row 'retrieval, 1 reader' /s SQLite 'floor>=0.9' retrieve_one
	row 'retrieval, 1 reader, of its own rows' /s 'these rows' 'floor>=0.9' retrieve_rows
	row 'limit: retrieval, 1 reader' /s 'their sum' 'floor>=0.9' limit_one retrieve retrieval open
	row 'retrieval, 8 readers, of opening alone' /s - 'floor>=0.8' retrieve_many 8
	row 'retrieval, 64 readers, of opening alone' /s - 'floor>=0.8' retrieve_many 64
	row 'limit: retrieval, 64 readers, of opening' /s 'the requests' 'floor>=0.8' limit_many 64 retrieve retrieval open
	row 'SetBootstrapToken, 1 client, of token' /s - 'floor>=0.9' check_in 1 set escrow
	row 'SetBootstrapToken, 64 clients, of token' /s - 'floor>=0.9' check_in 64 set escrow
	row 'GetBootstrapToken, 1 client, of token' /s - 'floor>=0.9' check_in 1 get retrieve
	row 'GetBootstrapToken, 64 clients, of token' /s - 'floor>=0.9' check_in 64 get retrieve
	row 'cat token, a process' ms ext4 'floor<=1.3' cat_token live live
	row 'limit: cat token, a process' ms ext4 'floor<=1.3' cat_token limit_retrieval floor
	[ "$SECTION" = pinned ] || return 0
	late_rows 'others escrow' quiet
	late_rows 'snapshot held' snapshot
	row 'mount ready' ms - 'value<=50' ready_in_ms
	row 'mount ready, of 1000 devices' ms - 'floor<=1.2' ready_both
	once 'memory of the daemon, the most' MiB - 'value<=24' memory VmHWM
	once 'memory of the daemon, at last' MiB - 'value<=24' memory VmRSS
}

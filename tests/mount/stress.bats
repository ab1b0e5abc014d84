#!/usr/bin/env bats
# Everything at the same time: 64 clients that call one mount without a pause, and other processes at its store.
# tests/stress/ has the clients (client.h says what they do), and who judges what they got (judge.py).
#
#   STRESS_SECONDS  how long;  STRESS_THREADS  the mount's
#   STRESS_SEED     what the clients call (not what meets what);  STRESS_KEEP  a directory that gets their diaries

load helper

STRESS=$BATS_TEST_DIRNAME/../stress
LOAD=$BATS_TEST_DIRNAME/../../build/stress
export PYTHONDONTWRITEBYTECODE=1

setup_file() { make -s -C "$BATS_TEST_DIRNAME/../.." stress; }

cleanup() { [ -z "${STRESS_KEEP-}" ] || cp -r "$T/diaries" "$STRESS_KEEP"; }

# judge [unmounted]: holds what every call got, and what is there now, against the contract.
judge() {
	cat "$M/audit" >"$T/diaries/trail"
	python3 "$STRESS/judge.py" "$T/diaries" "$T/diaries/trail" "$@"
	python3 "$STRESS/ending.py" "$ESCROWFS" "$S" "$M" "$T/diaries"
}

@test "64 clients, imports and sealed mounts: each call got what the trail's order makes of it" {
	local seed=${STRESS_SEED:-$RANDOM}
	echo "STRESS_SEED=$seed"
	mkdir "$T/diaries"
	mount_new -o "allow_other${STRESS_THREADS:+,threads=$STRESS_THREADS}"
	python3 "$STRESS/beside.py" "$ESCROWFS" "$S" "$M" "$T/diaries" "${STRESS_SECONDS:-20}" "$seed" -- "$LOAD"
	judge
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	mount_again
	judge unmounted
}

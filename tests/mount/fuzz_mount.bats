#!/usr/bin/env bats
# Random calls by several users' processes, each held against a model of the contract: tests/torture/mount_fuzz.
# What fails is cut down to a few calls and printed as a script, which --replay makes again.
#
#   FUZZ_SEED        where the seeds begin; FUZZ_SECONDS  how long;  FUZZ_OPERATIONS  calls on one store
#
# A long run: FUZZ_SECONDS=3600 bats tests/mount/fuzz_mount.bats

load helper

fuzz() {
	PYTHONDONTWRITEBYTECODE=1 python3 "$BATS_TEST_DIRNAME/../torture/mount_fuzz" "$ESCROWFS" "$T" \
		--operations "${FUZZ_OPERATIONS:-400}" "$@"
}

@test "random calls get what the contract says: the same ones each time" {
	fuzz --seed 1
}

@test "random calls get what the contract says: other ones each time" {
	local seed=${FUZZ_SEED:-$RANDOM$RANDOM}
	echo "FUZZ_SEED=$seed"
	fuzz --seed "$seed" --seconds "${FUZZ_SECONDS:-20}"
}

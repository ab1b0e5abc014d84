#!/usr/bin/env bats
# Messages as devices send them, through /checkin: what the mount then shows is what python3's plistlib reads
# in the same files. $ESCROWFS_CONFORMANCE names a folder of captured messages; without it there are the project's own.

load helper

prepare() { mount_new; }

@test "every message is taken, and its facts are those that plistlib reads" {
	run -0 python3 "$BATS_TEST_DIRNAME/conformance.py" "$M" "${ESCROWFS_CONFORMANCE:-$EXAMPLES/messages}"
	echo "$output" >&3
}

@test "the project's own messages end as examples/README says" {
	escrowfs import "$S" "$EXAMPLES/messages"
	grep -oE '^  0E5C0A00-\S+ .*' "$EXAMPLES/README" | while read -r udid system version word _; do
		echo "$udid $system $version: $(status_of "$udid"), should be $word"
		[ "$(status_of "$udid")" = "$word" ]
	done
	assert_equal "$(find "$M/devices" -mindepth 1 -maxdepth 1 | wc -l)" "$(grep -c '^  0E5C' "$EXAMPLES/README")"
}

#!/usr/bin/env bats
# shellcheck disable=SC2086,SC2153 # UDID is a plain word of helper.bash's
# bootstrap_status as messages make it, row by row, and what each word means for `token` and /search.

load helper

prepare() { mount_new; }

# The rows: word, ProductName, OSVersion, EnrolledViaDEP, UserApprovedEnrollment, IsSupervised,
# IsUserEnrollment (- is not reported).
rows() {
	cat <<-'END'
		not_supported	MacBookPro14,1	10.14.6		true	true	true	false
		not_supported	MacBookPro14,1	10.14		-	-	-	-
		not_eligible	MacBookPro14,1	10.15		false	true	true	false
		not_eligible	MacBookPro14,1	10.15.3		false	-	-	-
		not_escrowed	MacBookPro14,1	10.15.3		true	false	false	false
		not_escrowed	MacBookPro14,1	10.15.0		-	false	false	false
		not_eligible	MacBookPro14,1	10.15.4		false	false	false	false
		not_eligible	MacBookPro14,1	10.15.4		-	false	-	-
		not_escrowed	MacBookPro14,1	10.15.4		false	true	false	false
		not_escrowed	MacBookPro14,1	10.15.4		false	-	-	-
		not_escrowed	MacBookPro14,1	10.15.7		true	false	false	false
		not_eligible	MacBookPro14,1	10.15.7		false	false	true	false
		not_escrowed	MacBookPro14,1	10.16		false	false	true	false
		not_eligible	MacBookPro14,1	10.16		false	false	false	false
		not_escrowed	MacBookPro17,1	11		false	false	true	false
		not_eligible	MacBookPro17,1	11.7.10		false	false	-	-
		not_escrowed	Mac14,2		14.1.2		false	true	false	false
		not_escrowed	Mac14,2		14.1.2		-	-	-	-
		not_eligible	Mac14,2		14.1.2		true	true	true	true
		not_eligible	Mac16,1		26.1		-	false	false	-
		not_escrowed	Mac16,1		26.1		true	false	false	-
		not_escrowed	Mac16,1		unreadable	-	-	-	-
		not_supported	iPad13,4	25.9		-	-	true	-
		not_eligible	iPad13,4	26.0		true	true	false	-
		not_escrowed	iPad13,4	26.0		-	-	true	-
		not_escrowed	iPad13,4	26		-	-	-	-
		not_eligible	iPad13,4	26.1		-	-	true	true
		not_supported	iPhone14,2	18.6		-	-	true	-
		not_eligible	iPhone14,2	26.0.1		-	-	false	-
		not_escrowed	iPhone14,2	26.0.1		-	-	true	-
		not_supported	RealityDevice14,1	2.6	-	-	true	-
		not_eligible	RealityDevice14,1	26.0	-	-	false	-
		not_escrowed	RealityDevice14,1	26.0	-	-	true	-
		not_supported	AppleTV14,1	26.1		true	true	true	-
		not_supported	Watch7,5	26.1		true	true	true	-
		not_escrowed	UnknownThing1,1	14.1		-	-	-	-
	END
}

# key NAME VALUE: a yes-or-no key of a property list; nothing for one that isn't reported.
key() { [ "$2" = - ] || printf '<key>%s</key><%s/>' "$1" "$2"; }

# Sends what a device with these facts sends.
enrol() { # enrol UDID PRODUCT VERSION DEP APPROVED SUPERVISED USER
	message Authenticate UDID="$1" ProductName="$2" OSVersion="$3" | checkin
	message TokenUpdate UDID="$1" | checkin
	results SecurityInfo "<key>ManagementStatus</key><dict>$(key EnrolledViaDEP "$4"
		key UserApprovedEnrollment "$5"
		key IsUserEnrollment "$7")</dict>" "$1" | checkin
	results QueryResponses "$(key IsSupervised "$6")" "$1" | checkin
}

@test "row by row, through messages: the word, /search, and whether a token may be written by hand" {
	local n=0 word row verdict
	while read -r word row; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # words
		enrol "ROW-$n" $row
		row="$n: $word $row"
		assert_equal "$row: $(status_of "ROW-$n")" "$row: $word"
		assert_equal "$(stat -c %s "$M/devices/ROW-$n/bootstrap_status")" $((${#word} + 1))
		eventually 20 test -L "$M/search/status/$word/ROW-$n"
		D=$M/devices/ROW-$n
		assert_equal "$row: $(json_of '["BootstrapTokenEscrowStatus"]')" "$row: False"
		assert_equal "$(json_of '["Escrow"]["Status"]')" "$word"
		[ "$(json_of '["Escrow"]["Reasons"].__len__()')" -gt 0 ]
		case $word in
		not_escrowed) verdict=ok ;;
		*) verdict=EPERM ;;
		esac
		assert_equal "$row: $(errno_of 'os.write(os.open(p, os.O_WRONLY), b"dG9rZW4=\n")' "$D/token")" "$row: $verdict"
	done < <(rows)
	assert_equal "$n" 36
	# Their own escrow is evidence, whatever the facts: all but user enrolments, which are known by their
	# EnrollmentID, get it served.
	for n in $(seq 36); do
		set_token "$TOKEN_2" "ROW-$n" | checkin
		assert_equal "ROW-$n $(status_of "ROW-$n")" "ROW-$n escrowed"
		assert_equal "$(get_token "ROW-$n" | checkin | reply_token)" "$TOKEN_2"
	done
	unmount
	escrowfs verify "$S"
}

@test "user enrolment never has a token" {
	message Authenticate EnrollmentID=ENROLLMENT-1 ProductName=Mac14,2 OSVersion=14.1 | checkin
	message TokenUpdate EnrollmentID=ENROLLMENT-1 | checkin
	assert_equal "$(status_of ENROLLMENT-1)" not_eligible
	assert_equal "$(errno_of 'os.write(os.open(p, os.O_WRONLY), b"dG9rZW4=\n")' "$M/devices/ENROLLMENT-1/token")" EPERM
	D=$M/devices/ENROLLMENT-1
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'user enrolment'
}

@test "the first word that applies: unenrolled, stale, escrowed, and only then the prerequisites" {
	enrol $UDID Mac14,2 14.1 - - - -
	D=$M/devices/$UDID
	set_token "$TOKEN_1" | checkin
	assert_equal "$(status_of)" escrowed
	echo '{"OSVersion": "10.14", "UserApprovedEnrollment": false}' >"$D/security.json"
	assert_equal "$(status_of)" escrowed
	message Authenticate UDID=$UDID | checkin
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	assert_equal "$(status_of)" stale
	assert_equal "$(json_of '["BootstrapTokenEscrowStatus"]')" True
	message CheckOut UDID=$UDID | checkin
	assert_equal "$(status_of)" unenrolled
	assert_equal "$(json_of '["BootstrapTokenEscrowStatus"]')" False
	# not by the user channel, nor by facts
	message TokenUpdate UDID=$UDID UserID=U | checkin
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | checkin
	assert_equal "$(status_of)" unenrolled
	message TokenUpdate UDID=$UDID | checkin
	assert_equal "$(status_of)" stale
	message CheckOut UDID=$UDID | checkin
	set_token "$TOKEN_2" | checkin
	assert_equal "$(status_of)" escrowed
}

@test "stale needs both: TokenUpdate with AwaitingConfiguration alone, or before the escrow, makes none" {
	message Authenticate UDID=$UDID | checkin
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	set_token "$TOKEN_1" | checkin
	assert_equal "$(status_of)" escrowed
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>' | checkin
	assert_equal "$(status_of)" escrowed
	message Authenticate UDID=$UDID | checkin
	message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<false/>' | checkin
	assert_equal "$(status_of)" escrowed
}

@test "an unenrolled device's own request gets none, and administrators still read the token" {
	set_token "$TOKEN_1" | checkin
	message CheckOut UDID=$UDID | checkin
	run -0 checkin < <(get_token)
	[[ $output != *BootstrapToken* ]]
	assert_has "$(trail)" '"outcome":"none"'
	assert_equal "$(cat "$M/devices/$UDID/token")" "$TOKEN_1"
	[ -L "$M/search/status/unenrolled/$UDID" ]
	[ ! -e "$M/search/status/escrowed/$UDID" ]
}

@test "an upgrade makes it supported" {
	enrol $UDID MacBookPro14,1 10.14.6 - - - -
	assert_equal "$(status_of)" not_supported
	results QueryResponses '<key>OSVersion</key><string>12.7</string>' | checkin
	assert_equal "$(status_of)" not_escrowed
	eventually 20 test ! -e "$M/search/status/not_supported/$UDID"
	[ -L "$M/search/status/not_escrowed/$UDID" ]
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell of its own, and meant to be
# shellcheck disable=SC2086,SC2153,SC2012,SC2016 # UDID is a plain word of helper.bash's; names here are plain too
# security.json and bootstrap_status: the words row by row, order, types, forms, merging.

load helper

prepare() { mount_new && device; }

facts() { printf '%s\n' "$1" >"$D/security.json"; }

# word EXPECTED JSON: the word that follows from these facts alone.
word() {
	facts '{"OSVersion": null, "EnrolledViaDEP": null, "UserApprovedEnrollment": null, "IsSupervised": null, "IsUserEnrollment": null, "Model": null}'
	facts "$2"
	[ "$(status_of)" = "$1" ] || { echo "$2 is $(status_of), should be $1" && false; }
}

@test "bootstrap_status, row by row" {
	word not_escrowed '{}'
	word not_supported '{"OSVersion": "10.14.6"}'
	word not_eligible '{"OSVersion": "10.15.2", "EnrolledViaDEP": false, "UserApprovedEnrollment": true}'
	word not_escrowed '{"OSVersion": "10.15.2", "EnrolledViaDEP": true, "UserApprovedEnrollment": false}'
	word not_escrowed '{"OSVersion": "10.15", "UserApprovedEnrollment": false}'
	word not_eligible '{"OSVersion": "10.15.4", "UserApprovedEnrollment": false}'
	word not_escrowed '{"OSVersion": "10.15.7", "UserApprovedEnrollment": false, "EnrolledViaDEP": true}'
	word not_eligible '{"OSVersion": "10.15.7", "UserApprovedEnrollment": false, "IsSupervised": true}'
	word not_escrowed '{"OSVersion": "10.16", "UserApprovedEnrollment": false, "IsSupervised": true}'
	word not_escrowed '{"OSVersion": "11", "UserApprovedEnrollment": false, "IsSupervised": true}'
	word not_eligible '{"OSVersion": "26.1", "UserApprovedEnrollment": false, "EnrolledViaDEP": false}'
	word not_supported '{"Model": "iPad13,4", "OSVersion": "18.1", "IsSupervised": true}'
	word not_eligible '{"Model": "iPad13,4", "OSVersion": "26.0", "IsSupervised": false}'
	word not_escrowed '{"Model": "iPad13,4", "OSVersion": "26.0", "IsSupervised": true}'
	word not_supported '{"Model": "AppleTV11,1", "OSVersion": "26.0"}'
	word not_supported '{"Model": "Watch6,1"}'
	word not_eligible '{"OSVersion": "14.0", "IsUserEnrollment": true, "UserApprovedEnrollment": true}'
	word not_escrowed '{"OSVersion": "unreadable"}'
	facts '{"OSVersion": "14.0", "IsUserEnrollment": false}'
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(status_of)" escrowed
	assert_equal "$(stat -c %s "$D/bootstrap_status")" 9
}

@test "Authenticate makes four facts unknown until they are reported again" {
	results SecurityInfo '<key>ManagementStatus</key><dict><key>EnrolledViaDEP</key><false/><key>UserApprovedEnrollment</key><false/><key>IsUserEnrollment</key><false/></dict>' | checkin
	facts '{"OSVersion": "14.1"}'
	assert_equal "$(status_of)" not_eligible
	message Authenticate UDID=$UDID | checkin
	assert_equal "$(status_of)" not_escrowed
	[[ $(cat "$D/security.json") != *EnrolledViaDEP\"* ]]
}

@test "the keys, their order and types" {
	results SecurityInfo '<key>PasscodePresent</key><true/><key>PasscodeCompliant</key><true/><key>FDE_Enabled</key><true/><key>FDE_HasPersonalRecoveryKey</key><true/><key>FDE_HasInstitutionalRecoveryKey</key><false/><key>SystemIntegrityProtectionEnabled</key><true/><key>SecureBoot</key><dict><key>SecureBootLevel</key><string>full</string><key>ExternalBootLevel</key><string>disallowed</string></dict><key>AuthenticatedRootVolumeEnabled</key><true/><key>BootstrapTokenAllowedForAuthentication</key><string>allowed</string><key>BootstrapTokenRequiredForKernelExtensionApproval</key><true/><key>BootstrapTokenRequiredForSoftwareUpdate</key><false/><key>IsRecoveryLockEnabled</key><false/><key>ManagementStatus</key><dict><key>EnrolledViaDEP</key><true/><key>UserApprovedEnrollment</key><true/><key>IsUserEnrollment</key><false/><key>IsActivationLockManageable</key><true/></dict>' | checkin
	results QueryResponses '<key>SerialNumber</key><string>S1</string><key>IMEI</key><string>35 000000 000010 6</string><key>EthernetMAC</key><string>22:7a:00:0b:00:0c</string><key>Model</key><string>Mac14,2</string><key>OSVersion</key><string>14.1</string><key>IsAppleSilicon</key><true/><key>IsSupervised</key><true/>' | checkin
	echo "$TOKEN_1" >"$D/token"
	run -0 python3 - "$D/security.json" "$UDID" <<'PY'
import json, os, re, sys
text = open(sys.argv[1]).read()
assert len(text.encode()) == os.stat(sys.argv[1]).st_size
j = json.loads(text)
assert list(j) == """IsPasscodePresent IsPasscodeCompliant IsEncrypted HasPersonalRecoveryKey HasInstitutionalRecoveryKey
EnrolledViaDEP UserApprovedEnrollment SystemIntegrityProtectionEnabled SecureBoot IsActivationLockManageable
BootstrapTokenEscrowStatus AuthenticatedRootVolumeEnabled BootstrapTokenAllowedForAuthentication
BootstrapTokenRequiredForKernelExtensionApproval BootstrapTokenRequiredForSoftwareUpdate IsRecoveryLockEnabled Escrow""".split(), list(j)
assert list(j["SecureBoot"]) == ["SecureBootStatus", "ExternalBootStatus"]
e = j["Escrow"]
order = """Udid SerialNumber Imei MacAddress DeviceId Model OSVersion IsAppleSilicon IsSupervised IsUserEnrollment Status Reasons
EscrowedAt RetrievedAt ProvenAt Versions EnrolledAt ReenrolledAt CheckedOutAt FactsAt""".split()
assert [k for k in order if k in e] == list(e), list(e)
for k in "IsEncrypted BootstrapTokenEscrowStatus IsRecoveryLockEnabled".split():
    assert type(j[k]) is bool
assert j["BootstrapTokenAllowedForAuthentication"] == "allowed" and j["BootstrapTokenEscrowStatus"] is True
assert e["Udid"] == sys.argv[2] and type(e["DeviceId"]) is int and e["SerialNumber"] == "S1" and e["Imei"] == "350000000000106"
assert e["Versions"][0]["Number"] == 1 and all(type(r) is str for r in e["Reasons"])
assert re.match(r'\{\n  "IsPasscodePresent": true,\n', text) and text.endswith("}\n")
assert json.dumps(j, indent=2) + "\n" == text
PY
}

@test "macOS 10.15 has the escrow's status alone, 11 the others too" {
	facts '{"OSVersion": "10.15.7", "BootstrapTokenAllowedForAuthentication": "allowed", "BootstrapTokenRequiredForSoftwareUpdate": true}'
	assert_has "$(cat "$D/security.json")" '"BootstrapTokenEscrowStatus": false'
	[[ $(cat "$D/security.json") != *BootstrapTokenAllowed* ]]
	[[ $(cat "$D/security.json") != *BootstrapTokenRequired* ]]
	facts '{"OSVersion": "11.0"}'
	assert_has "$(cat "$D/security.json")" '"BootstrapTokenAllowedForAuthentication": "allowed"'
	assert_has "$(cat "$D/security.json")" '"BootstrapTokenRequiredForSoftwareUpdate": true'
}

@test "escrowed, allowed and proven are three things" {
	facts '{"OSVersion": "14.1", "BootstrapTokenAllowedForAuthentication": "disallowed"}'
	echo "$TOKEN_1" >"$D/token"
	assert_equal "$(json_of '["BootstrapTokenEscrowStatus"]')" True
	assert_equal "$(json_of '["BootstrapTokenAllowedForAuthentication"]')" disallowed
	[[ $(cat "$D/security.json") != *ProvenAt* ]]
	message CheckOut UDID=$UDID | checkin
	assert_equal "$(json_of '["BootstrapTokenEscrowStatus"]')" False
}

@test "Reasons name the remedy" {
	facts '{"OSVersion": "14.1"}'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'profiles install -type bootstraptoken'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" "Setup Assistant's account creation was skipped"
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'Network users are never served'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'SecurityInfo and DeviceInformation'
	facts '{"OSVersion": "10.15.7"}'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'mobile accounts of a Mac bound to a directory'
	facts '{"OSVersion": "14.1", "UserApprovedEnrollment": false}'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'Apple Business Manager'
	assert_has "$(json_of '["Escrow"]["Reasons"]')" 'approves the enrolment'
}

@test "what you read you can write back, and a read-modify-write changes one fact" {
	results QueryResponses '<key>OSVersion</key><string>14.1</string><key>IsSupervised</key><true/>' | checkin
	echo "$TOKEN_1" >"$D/token"
	cp "$D/security.json" "$T/copy"
	local before
	before=$(grep -c '"facts"' "$M/audit")
	cp "$T/copy" "$D/security.json"
	assert_equal "$(grep -c '"facts"' "$M/audit")" "$before"
	sed 's/"14.1"/"14.2"/' "$T/copy" >"$D/security.json"
	assert_equal "$(json_of '["Escrow"]["OSVersion"]')" 14.2
	assert_has "$(trail)" '"reason":"by hand: OSVersion"'
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "merging, null, verdicts read over, unknown keys and wrong types refused" {
	facts '{"IsEncrypted": true, "Escrow": {"OSVersion": "14.1"}}'
	facts '{"BootstrapTokenEscrowStatus": true, "Escrow": {"Status": "escrowed", "EscrowedAt": "x", "DeviceId": 9}, "IsPasscodePresent": false}'
	assert_equal "$(json_of '["IsEncrypted"]')" True
	assert_equal "$(json_of '["IsPasscodePresent"]')" False
	assert_equal "$(status_of)" not_escrowed
	facts '{"IsEncrypted": null}'
	[[ $(cat "$D/security.json") != *IsEncrypted* ]]
	for bad in '{"Unheard": 1}' '{"IsEncrypted": 1}' '{"OSVersion": 14}' '[]' '{"Escrow": {"Udid": "OTHER"}}' '{"IsEncrypted": true} x' 'text'; do
		run -1 bash -c 'printf "%s\n" "$1" >"$2"' - "$bad" "$D/security.json"
		assert_has "$output" 'Invalid argument'
	done
	assert_has "$(grep Unheard "$M/audit")" '"outcome":"EINVAL"'
	{ printf '{"OSVersion": "' && head -c 70000 /dev/zero | tr '\0' 1; } >"$T/big"
	run -1 cp "$T/big" "$D/security.json"
	assert_has "$output" 'File too large'
}

@test "recovery keys, PINs and passwords are never stored, logged or shown" {
	facts '{"PersonalRecoveryKey": "ABCD-EFGH-JKLM-NPQR-STUV-WXY2", "IsEncrypted": true}'
	results SecurityInfo '<key>FDE_PersonalRecoveryKeyCMS</key><data>SECRETSECRETSECRET==</data><key>FDE_PersonalRecoveryKeyDeviceKey</key><string>SECRETSECRET</string><key>UnlockToken</key><data>U0VDUkVU</data>' | checkin
	message TokenUpdate UDID=$UDID 'UnlockToken:=<data>U0VDUkVUU0VDUkVU</data>' PushMagic=SECRETMAGIC | checkin
	unmount
	run -1 grep -rlaE 'ABCD-EFGH|SECRETSECRET|U0VDUkVU|SECRETMAGIC' "$S"
}

@test "bootstrap_status is read-only, for root too" {
	assert_equal "$(errno_of 'os.open(p, os.O_WRONLY)' "$D/bootstrap_status")" EPERM
	assert_equal "$(errno_of 'os.open(p, os.O_RDWR | os.O_TRUNC)' "$D/bootstrap_status")" EPERM
	assert_equal "$(errno_of 'os.truncate(p, 0)' "$D/bootstrap_status")" EPERM
}

@test "a write is seen at once by the next stat, cat and test" {
	for i in $(seq 30); do
		echo "$TOKEN_1" >"$D/token"
		assert_equal "$(status_of)" escrowed
		[ -s "$D/token" ]
		assert_equal "$(wc -c <"$D/security.json")" "$(stat -c %s "$D/security.json")"
		truncate -s 0 "$D/token"
		assert_equal "$(status_of)" not_escrowed
		[ ! -s "$D/token" ]
		facts "{\"OSVersion\": \"14.$i\"}"
		assert_equal "$(json_of '["Escrow"]["OSVersion"]')" "14.$i"
	done
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2086,SC2153,SC2154 # tests are subshells; the helper's words, and bats' own
# examples/extension-attribute.sh asks the escrow behind a real nginx, with the configuration of examples/nginx. What
# only a Mac has (profiles, ioreg, defaults, plutil) is made up; the rest is real.

load helper
load http

MACOS_12=0E5C0A00-0005-4000-8000-000000000005
MACOS_14=0E5C0A00-0007-4000-8000-000000000007

prepare() {
	mount_new
	escrowfs import "$S" "$EXAMPLES/messages" >"$T/import.out"
}

# A Mac's programs: mac YES|NO UDID.
mac() {
	mkdir -p "$T/mac"
	cat >"$T/mac/profiles" <<-END
		#!/bin/sh
		[ "\$*" = 'status -type bootstraptoken' ] || exit 64
		echo 'profiles: Bootstrap Token supported on server: ${3:-YES}'
		echo 'profiles: Bootstrap Token escrowed to server: $1'
	END
	cat >"$T/mac/ioreg" <<-END
		#!/bin/sh
		printf '    {\n      "IOPlatformSerialNumber" = "C02XK1"\n      "IOPlatformUUID" = "$2"\n    }\n'
	END
	cat >"$T/mac/defaults" <<-END
		#!/bin/sh
		[ "\$1" = read ] && echo /Munki || echo "\$*" >>"$T/defaults"
	END
	cat >"$T/mac/plutil" <<-END
		#!/bin/sh
		echo "\$*" >>"$T/defaults"
	END
	chmod +x "$T"/mac/*
}

# The escrow's web server, as examples/nginx has it; who asks is in curl's file, not in an argument.
asked() {
	serve
	let_in
	export ESCROW_URL=https://escrow.example.com:$PORT ESCROW_CURL=$T/curl
	(umask 077 && who_asks 'a password')
}

who_asks() {
	printf '%s\n' "user = \"helpdesk:$1\"" "cacert = \"$CERTS/web-ca.pem\"" \
		"resolve = \"escrow.example.com:$PORT:127.0.0.1\"" >"$T/curl"
}

attribute() { PATH=$T/mac:$PATH "$EXAMPLES/extension-attribute.sh"; }

@test "extension-attribute.sh: what the Mac says against what the escrow says" {
	asked
	mac YES "$MACOS_14"
	run -0 --separate-stderr attribute
	assert_has "$output" '<result>agree: '
	assert_equal "$stderr" ''
	mac NO "$MACOS_14"
	run -0 attribute
	assert_has "$output" '<result>escrow_only: '
	mac NO "$MACOS_12"
	run -0 attribute
	assert_has "$output" '<result>none: '
	mac YES "$MACOS_12"
	run -0 attribute
	assert_has "$output" '<result>mac_only: '
	echo "$TOKEN_1" >"$M/devices/$MACOS_12/token"
	run -0 attribute
	assert_has "$output" '<result>agree: '
	# It was asked, and nothing was retrieved.
	run ! grep '"retrieve"' "$M/audit"
}

@test "extension-attribute.sh: no such device, no server, no password, no support, no Mac that knows" {
	asked
	mac YES NOBODY
	run -0 attribute
	assert_has "$output" '<result>unknown: the escrow has no device NOBODY'
	mac YES "$MACOS_14"
	who_asks wrong
	run -0 attribute
	assert_has "$output" '<result>unreachable: '
	assert_has "$output" 401
	ESCROW_URL=https://127.0.0.1:9 run -0 attribute
	assert_has "$output" '<result>unreachable: https://127.0.0.1:9 does not answer'
	mac NO "$MACOS_14" NO
	run -0 attribute
	assert_has "$output" '<result>unsupported: '
	mac YES '../../x'
	run -0 attribute
	assert_has "$output" '<result>unreachable: '
	printf '#!/bin/sh\necho "profiles: unknown type" >&2; exit 1\n' >"$T/mac/profiles"
	run -0 attribute
	assert_has "$output" '<result>unsupported: '
}

@test "extension-attribute.sh under Munki: a condition" {
	asked
	mac YES "$MACOS_14"
	MUNKI=1 run -0 attribute
	assert_equal "$output" ''
	assert_equal "$(head -n 1 "$T/defaults")" 'write /Munki/ConditionalItems bootstrap_token -string agree'
	cp "$EXAMPLES/extension-attribute.sh" "$T/munki_bootstrap_token"
	mac YES "$MACOS_12"
	PATH=$T/mac:$PATH run -0 "$T/munki_bootstrap_token"
	assert_has "$(cat "$T/defaults")" 'bootstrap_token -string mac_only'
}

@test "extension-attribute.sh is one that a Mac's /bin/sh takes: nothing of bash, and no tool's options that are GNU's" {
	run -0 dash -n "$EXAMPLES/extension-attribute.sh"
	run ! grep -nE 'grep -P|sed -i|date -d|readlink -f|\\\|' "$EXAMPLES/extension-attribute.sh"
}

#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153 # tests are subshells; UDID is a plain word
# A daily key that lies in a TPM (swtpm's), by its OSSL_STORE URI: it never leaves it, and opens tokens all the same.

load helper

prepare() {
	export TSS2_LOG=all+none TPM2TOOLS_TCTI=swtpm:path=$T/sock TPM2OPENSSL_TCTI=swtpm:path=$T/sock
	mkdir "$T/state"
	swtpm socket --tpm2 --tpmstate dir="$T/state" --server type=unixio,path="$T/sock" \
		--ctrl type=unixio,path="$T/sock.ctrl" --flags not-need-init,startup-clear --daemon --pid file="$T/swtpm.pid" 3>&-
	tpm2_createprimary -Q -C o -g sha256 -G ecc -c "$T/primary"
	tpm2_create -Q -C "$T/primary" -G ecc256 -u "$T/public" -r "$T/private" \
		-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt'
	tpm2_flushcontext -t
	tpm2_load -Q -C "$T/primary" -u "$T/public" -r "$T/private" -c "$T/key"
	tpm2_evictcontrol -Q -C o -c "$T/key" 0x81000001
	tpm2_flushcontext -t
	printf '%s\n' 'openssl_conf = init' '[init]' 'providers = list' '[list]' 'default = on' 'tpm2 = on' \
		'[on]' 'activate = 1' >"$T/openssl.cnf"
	export OPENSSL_CONF=$T/openssl.cnf
}

cleanup() { kill "$(cat "$T/swtpm.pid")" 2>/dev/null || :; }

@test "init, mount, escrow, many retrievals at once, verify; the recovery key opens it without the TPM" {
	escrowfs init "$S" --key handle:0x81000001
	[ ! -e "$S.key.pem" ]
	mount_again
	device
	echo "$TOKEN_1" >"$D/token"
	for i in $(seq 20); do cat "$D/token" >"$T/got.$i" & done
	wait
	for i in $(seq 20); do assert_equal "$(cat "$T/got.$i")" "$TOKEN_1"; done
	unmount
	run -0 escrowfs verify "$S"
	assert_has "$output" '1 seal opened'
	kill "$(cat "$T/swtpm.pid")"
	unset OPENSSL_CONF
	run -1 escrowfs mount "$S" "$M"
	mount_again -o "key=$S.recovery.pem"
	assert_equal "$(cat "$D/token")" "$TOKEN_1"
}

@test "SIGHUP has the TPM asked for it again, while it is in use" {
	escrowfs init "$S" --key handle:0x81000001
	"$ESCROWFS" mount -f "$S" "$M" 2>"$T/log" 3>&- &
	eventually 300 grep -q serving "$T/log"
	device
	echo "$TOKEN_1" >"$D/token"
	for i in $(seq 30); do
		cat "$D/token" >"$T/got.$i" &
		[ $((i % 10)) -ne 0 ] || pkill -HUP -f "^escrowfs: unmounts $M\$"
	done
	eventually 300 grep -q 'handle:0x81000001 was read again, and is the same' "$T/log"
	for i in $(seq 30); do eventually 100 cmp "$T/got.$i" <(echo "$TOKEN_1"); done
	run ! grep 'stays in use' "$T/log"
}

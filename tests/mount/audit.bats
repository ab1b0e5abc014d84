#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2012 # tests are subshells; UDID is a plain word
# The trail: what is on it, its chain, how it is read, and what verify finds.

load helper

prepare() { mount_new && device; }

# Recomputes the chain as the contract has it.
chain_holds() {
	python3 - "$1" <<'PY'
import hashlib, json, sys
before, n = "0" * 64, 0
for line in open(sys.argv[1], "rb"):
    assert line.endswith(b'"}\n')
    j = json.loads(line)
    n += 1
    assert j["seq"] == n, (j["seq"], n)
    body = line[:line.rindex(b',"chain"')]
    before = hashlib.sha256(before.encode() + body).hexdigest()
    assert list(j)[-1] == "chain" and j["chain"] == before, n
    order = "seq time action outcome udid version uid gid pid loginuid command reason blob chain".split()
    assert [k for k in order if k in j] == list(j), list(j)
print(n)
PY
}

work() {
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token"
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo 'no base64!' >"$D/token" || :
	echo '{"OSVersion": "14.1"}' >"$D/security.json"
	message Authenticate UDID=$UDID | checkin
	{ printf 'Identity: %s\n\n' "$(printf 'a%.0s' $(seq 64))" && get_token; } | checkin
	message CheckOut UDID=$UDID | checkin
	chmod 0640 "$M/policy/token" "$M/checkin" "$D/token"
	truncate -s 0 "$D/token"
}

@test "every event, in the contract's form and chain" {
	work
	for event in mount escrow retrieve confirm refuse facts enrol identity 'check out' policy mode remove; do
		echo "$event"
		grep -q "\"action\":\"$event\"" "$M/audit"
	done
	cp "$M/audit" "$T/audit"
	run -0 chain_holds "$T/audit"
	grep '"action":"escrow"' "$T/audit" | while read -r line; do
		[[ $line =~ \"blob\":\"[0-9a-f]{64}\" ]]
	done
	unmount
	run -0 escrowfs verify "$S"
}

@test "facts that didn't change write no line" {
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | checkin
	local before
	before=$(lines)
	results SecurityInfo '<key>FDE_Enabled</key><true/>' | checkin
	message TokenUpdate UDID=$UDID | checkin
	message TokenUpdate UDID=$UDID | checkin
	echo '{"IsEncrypted": true}' >"$D/security.json"
	assert_equal "$(lines)" "$((before + 1))" # the first TokenUpdate enrols
}

@test "who: the user, the process, its name; a hostile name stays one line of JSON" {
	cp /bin/cat "$T/$(printf 'a"\n\\b')"
	chmod 0644 "$M/policy/token"
	chmod 0755 "$M/policy/device" "$M/devices"
	echo "$TOKEN_1" >"$D/token"
	as 1234:4321 "$T/$(printf 'a"\n\\b')" "$D/token"
	run -0 python3 - "$M/audit" <<'PY'
import json, sys
j = json.loads(open(sys.argv[1]).readlines()[-1])
assert j["command"] == 'a"\n\\b' and j["uid"] == 1234 and j["gid"] == 4321 and j["pid"] > 1, j
PY
}

@test "who: threads of two servers that ask in turns" {
	echo "$TOKEN_1" >"$D/token"
	python3 - "$D/token" "$M/audit" <<-'END'
		import json, os, subprocess, sys, threading
		token, audit = sys.argv[1:]
		server = """import os, sys, threading
		def read():
		    with open(sys.argv[1]) as f: f.read()
		for line in sys.stdin:
		    t = threading.Thread(target=read); t.start(); t.join()
		    print(os.getpid(), flush=True)"""
		servers = [subprocess.Popen([sys.executable, '-c', server, token], text=True,
		                            stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
		asked = []
		for i in (0, 1, 0, 0, 1, 1, 0):
		    servers[i].stdin.write('go\n'); servers[i].stdin.flush()
		    asked.append(int(servers[i].stdout.readline()))
		said = [json.loads(line)['pid'] for line in open(audit) if '"retrieve"' in line]
		assert said == asked, (said, asked)
		for s in servers:
		    s.stdin.close(); s.wait()
	END
}

@test "refusals have a reason; repeats within a minute become one counted line" {
	for _ in $(seq 50); do
		sh -c "echo 'no base64!' >'$D/token'" || :
	done
	assert_equal "$(grep -c '"refuse"' "$M/audit")" 1
	assert_has "$(grep '"refuse"' "$M/audit")" 'base64'
	unmount
	sqlite3 "$S/escrow.db" 'SELECT line FROM trail' >"$T/audit"
	assert_has "$(grep '"refuse"' "$T/audit" | tail -n 1)" '49 times more'
}

@test "tail -F shows an event within two seconds; pread works at any offset" {
	tail -n 1 -F "$M/audit" >"$T/tail" 2>/dev/null &
	local tail=$!
	eventually 100 test -s "$T/tail"
	echo "$TOKEN_1" >"$D/token"
	eventually 20 grep -q '"escrow"' "$T/tail"
	kill $tail
	work
	cp "$M/audit" "$T/audit"
	assert_equal "$(stat -c %s "$M/audit")" "$(stat -c %s "$T/audit")"
	run -0 python3 - "$M/audit" "$T/audit" <<'PY'
import os, random, sys
fd, text = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb").read()
for _ in range(500):
    at, n = random.randrange(len(text) + 10), random.randrange(1, 3000)
    assert os.pread(fd, n, at)[:len(text) - min(at, len(text))] == text[at:at + n], (at, n)
PY
}

@test "verify finds a changed, a missing, a doubled and a reordered line, and says which" {
	work
	unmount
	cp -r "$S" "$T/good"
	tampered() { # tampered SQL WORDS: verify must fail and say WORDS
		rm -rf "$S" && cp -r "$T/good" "$S"
		sqlite3 "$S/escrow.db" "$1"
		run -1 escrowfs verify "$S"
		assert_has "$output" "$2"
	}
	tampered "UPDATE trail SET line = replace(line, '\"uid\":0', '\"uid\":1') WHERE seq = 5" 'line 5'
	tampered "UPDATE trail SET line = replace(line, '\"outcome\":\"ok\"', '\"outcome\":\"no\"') WHERE seq = 6" 'line 6'
	tampered 'DELETE FROM trail WHERE seq = 5' 'line'
	assert_has "$output" 5
	tampered "UPDATE trail SET line = (SELECT line FROM trail WHERE seq = 4) WHERE seq = 5" 'line 4'
	tampered "UPDATE trail SET line = CASE seq WHEN 4 THEN (SELECT line FROM trail WHERE seq = 5) ELSE (SELECT line FROM trail WHERE seq = 4) END WHERE seq IN (4, 5)" 'line 5'
	tampered 'DELETE FROM trail WHERE seq = (SELECT max(seq) FROM trail)' 'trail'
	rm -rf "$S" && cp -r "$T/good" "$S"
	run -0 escrowfs verify "$S"
}

@test "numbers past all that there are: verify says so, and nothing is written behind them" {
	local most=9223372036854775807
	work
	unmount
	cp -r "$S" "$T/good"
	sqlite3 "$S/escrow.db" "UPDATE trail SET line = replace(line, '\"seq\":3,', '\"seq\":$most,') WHERE seq = 3"
	run -1 escrowfs verify "$S"
	assert_has "$output" "trail: lines 3 to $((most - 1)) are missing, before line $most"
	run ! grep -q -e ' -[0-9]' <<<"$output"
	rm -rf "$S" && cp -r "$T/good" "$S"
	sqlite3 "$S/escrow.db" "UPDATE trail SET seq = $most WHERE seq = (SELECT max(seq) FROM trail);
		UPDATE head SET trail_seq = $most; UPDATE version SET escrowed_at = $most"
	run -1 escrowfs verify "$S"
	run ! grep -q -e ' -[0-9]' <<<"$output"
	run -1 escrowfs mount "$S" "$M"
	assert_has "$output" "its trail can't have a line $most"
	assert_equal "$(sqlite3 "$S/escrow.db" 'SELECT max(seq) FROM trail')" "$most"
}

@test "verify finds a seal that isn't the one on the trail, with and without a key; and one that is gone" {
	local version
	work
	unmount
	cp -r "$S" "$T/good"
	version=$(sqlite3 "$S/escrow.db" 'SELECT id FROM version ORDER BY id LIMIT 1')
	# one flipped bit, and nobody has a key
	python3 - "$S/escrow.db" "$version" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
blob = bytearray(db.execute("SELECT blob FROM sealed WHERE version = ?", sys.argv[2:]).fetchone()[0])
blob[-5] ^= 1
db.execute("UPDATE sealed SET blob = ? WHERE version = ?", (bytes(blob), sys.argv[2]))
db.commit()
PY
	mv "$S.key.pem" "$T/away"
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID, version 1"
	mv "$T/away" "$S.key.pem"
	# sealed anew by somebody who opened it: all that it says is true, only it isn't what was escrowed
	rm -rf "$S" && cp -r "$T/good" "$S"
	sqlite3 "$S/escrow.db" "SELECT writefile('$T/blob', blob) FROM sealed WHERE version = $version"
	openssl cms -decrypt -inform DER -in "$T/blob" -inkey "$S.key.pem" -recip "$S.key.pem" -out "$T/plain"
	openssl cms -encrypt -binary -aes-256-gcm -outform DER -in "$T/plain" -out "$T/blob" "$S.key.pem"
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = readfile('$T/blob') WHERE version = $version"
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID, version 1"
	# gone
	rm -rf "$S" && cp -r "$T/good" "$S"
	sqlite3 "$S/escrow.db" "DELETE FROM sealed WHERE version = $version; DELETE FROM version WHERE id = $version"
	run -1 escrowfs verify "$S"
	assert_has "$output" "$UDID, version 1"
}

@test "verify beside a mount, and without a key" {
	work
	run -0 escrowfs verify "$S"
	assert_has "$output" 'nothing is wrong'
	mv "$S.key.pem" "$T/away"
	run -0 escrowfs verify "$S"
	assert_has "$output" '0 seals opened'
	mv "$T/away" "$S.key.pem"
}

@test "no token, raw or in base64, is in the store, on the trail or in the keys' directory" {
	work
	unmount
	for token in "$TOKEN_1" "$TOKEN_2" 'bootstrap token number one' 'bootstrap token number two'; do
		run -1 grep -rFa "$token" "$S" "$S.key.pem" "$S.recovery.pem"
	done
}

#!/usr/bin/env bats
# shellcheck disable=SC2013,SC2086,SC2153,SC2317 # the helper's words; names have no blanks; functions that `eventually` calls
# /metrics, and what examples/prometheus makes of it.

load helper

PROMETHEUS=$EXAMPLES/prometheus

cleanup() { [ ! -e "$T/exporter.pid" ] || kill "$(cat "$T/exporter.pid")" 2>/dev/null || :; }

# metric NAME: its value; NAME may have a label.
metric() { awk -v name="$1" '$1 == name { print $2 }' "$M/metrics"; }
is() { [ "$(metric "$1")" = "$2" ]; }

reads() { cat "$D/token" >/dev/null; }

@test "promtool finds nothing wrong with it, of a new mount and of one that was used" {
	mount_new
	run -0 promtool check metrics <"$M/metrics"
	assert_equal "$output" ''
	device
	echo "$TOKEN_1" >"$D/token"
	reads
	eventually 50 grep -q '^escrowfs_devices_overdue ' "$M/metrics"
	run -0 promtool check metrics <"$M/metrics"
	assert_equal "$output" ''
}

@test "how long it takes: each escrow, retrieval and check-in is in one bucket, and the sum grows" {
	mount_new
	device
	for name in escrow retrieval checkin; do
		is "escrowfs_${name}_duration_seconds_count" 0
	done
	echo "$TOKEN_1" >"$D/token"
	reads
	reads
	set_token "$TOKEN_2" | checkin
	get_token | checkin
	message TokenUpdate UDID=$UDID | checkin
	# What is refused, and what has no token, took no time of these.
	run -1 sh -c "echo 'no base64' >'$D/token'"
	device EMPTY
	cat "$D/token"
	get_token NOBODY | checkin
	is escrowfs_escrow_duration_seconds_count 2
	is escrowfs_retrieval_duration_seconds_count 3
	is escrowfs_checkin_duration_seconds_count 4
	for name in escrow retrieval checkin; do
		name=escrowfs_${name}_duration_seconds
		assert_equal "$(metric "${name}_bucket{le=\"+Inf\"}")" "$(metric "${name}_count")"
		awk -v name="$name" 'index($1, name "_bucket") == 1 { if ($2 < last) exit 1; last = $2; n++ } END { exit n != 14 }' "$M/metrics"
		[[ $(metric "${name}_sum") =~ ^[0-9]+\.[0-9]{9}$ ]]
		[ "$(metric "${name}_sum")" != 0.000000000 ]
	done
}

@test "reads that were refused are counted by why: no key, a damaged seal, the limit, a stranger's certificate" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	unmount
	mv "$S.key.pem" "$T/key.pem"
	mount_again 2>/dev/null
	run -1 reads
	get_token >"$M/checkin"
	is 'escrowfs_reads_refused_total{why="no_key"}' 1
	get_token | run -1 checkin
	is 'escrowfs_reads_refused_total{why="no_key"}' 2
	is escrowfs_key_present 0
	unmount
	mv "$T/key.pem" "$S.key.pem"
	mount_again -o max-retrievals=1/h,identity=strict
	is 'escrowfs_reads_refused_total{why="no_key"}' 0
	reads
	run -1 reads
	is 'escrowfs_reads_refused_total{why="limit"}' 1
	unmount
	mount_again -o identity=strict
	{ printf 'Identity: %064d\n\n' 1 && message TokenUpdate UDID=$UDID; } | checkin
	is escrowfs_identity_changes_total 0
	{ printf 'Identity: %064d\n\n' 2 && get_token; } | run -1 checkin
	is escrowfs_identity_changes_total 1
	is 'escrowfs_reads_refused_total{why="identity"}' 1
	{ printf 'Identity: %064d\n\n' 2 && get_token; } | run -1 checkin
	is escrowfs_identity_changes_total 1
	is 'escrowfs_reads_refused_total{why="identity"}' 2
	{ printf 'Identity: %064d\n\n' 1 && get_token; } | checkin | grep -q BootstrapToken
	is 'escrowfs_reads_refused_total{why="identity"}' 2
	unmount
	sqlite3 "$S/escrow.db" "UPDATE sealed SET blob = CAST(substr(blob, 1, length(blob) - 1) ||
		CASE WHEN substr(blob, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)"
	mount_again
	run -1 reads
	is 'escrowfs_reads_refused_total{why="bad_seal"}' 1
	is 'escrowfs_reads_refused_total{why="other"}' 0
}

@test "a token that comes again, and another certificate, are counted; a first one isn't" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	is escrowfs_replays_total 0
	echo "$TOKEN_1" >"$D/token"
	is escrowfs_replays_total 1
	set_token "$TOKEN_2" | checkin
	is escrowfs_replays_total 2
	{ printf 'Identity: %064d\n\n' 1 && message TokenUpdate UDID=$UDID; } | checkin
	is escrowfs_identity_changes_total 0
	is 'escrowfs_events_total{action="identity"}' 1
	{ printf 'Identity: %064d\n\n' 2 && message TokenUpdate UDID=$UDID; } | checkin
	is escrowfs_identity_changes_total 1
}

@test "devices that have no token after 14 days" {
	mount_new
	device ONE
	device TWO
	message TokenUpdate UDID=THREE | checkin
	set_token "$TOKEN_1" FOUR | checkin
	eventually 50 is escrowfs_devices_overdue 0
	unmount
	# A fortnight and a day later.
	local ago=$(($(date +%s) - 15 * 86400))000000000
	sqlite3 "$S/escrow.db" "UPDATE device SET created_at = $ago, enrolled_at = min(enrolled_at, $ago) WHERE udid <> 'TWO'"
	mount_again
	eventually 50 is escrowfs_devices_overdue 2
	run -0 escrowfs status "$S"
	assert_has "$(tr -s ' ' <<<"$output")" 'overdue 2 not_escrowed, and enrolled for over 14 days'
}

@test "a chain that is broken is found by the mount itself, told in the log, and in /metrics" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	reads
	walked() { [ "$(metric escrowfs_audit_walked_timestamp_seconds)" -gt 0 ]; }
	eventually 50 walked
	is escrowfs_audit_chain_broken 0
	unmount
	sqlite3 "$S/escrow.db" "UPDATE trail SET line = replace(line, 'retrieve', 'confirms') WHERE line LIKE '%retrieve%'"
	escrowfs mount -f "$S" "$M" 2>"$T/log" &
	eventually 50 is escrowfs_audit_chain_broken 1
	eventually 20 grep -q "the audit trail's chain is broken: line .*escrowfs verify" "$T/log"
	assert_equal "$(grep -c 'chain is broken' "$T/log")" 1
	reads
	umount "$M"
	wait
	run -1 escrowfs verify "$S"
}

@test "a trail that is cut short while it is mounted" {
	mount_new
	device
	echo "$TOKEN_1" >"$D/token"
	walked() { [ "$(metric escrowfs_audit_walked_timestamp_seconds)" -gt 0 ]; }
	eventually 50 walked
	sqlite3 "$S/escrow.db" "UPDATE head SET trail_seq = trail_seq - 1, trail_size = (SELECT max(start) FROM trail);
		DELETE FROM trail WHERE seq = (SELECT max(seq) FROM trail)"
	eventually 50 is escrowfs_audit_chain_broken 1
}

# ---- examples/prometheus ----

# Names of metrics in the expressions of the rules, or of the dashboard.
names() { grep -oE 'escrowfs_[a-z_]+' | sort -u; }
rule_expressions() { sed -n 's/^ *expr: //p' "$PROMETHEUS/rules.yml"; }
dashboard_expressions() { jq -r '.panels[].targets[].expr, (.templating.list[] | select(.type == "query").query)' "$PROMETHEUS/dashboard.json"; }

@test "each metric of the rules and of the dashboard is one that a mount has" {
	mount_new
	eventually 50 grep -q '^escrowfs_devices_overdue ' "$M/metrics"
	sed -n 's/^\(escrowfs_[a-z_]*\).*/\1/p' "$M/metrics" | sort -u >"$T/has"
	rule_expressions | names >"$T/rules"
	dashboard_expressions | names >"$T/dashboard"
	[ "$(wc -l <"$T/rules")" -ge 10 ]
	[ "$(wc -l <"$T/dashboard")" -ge 20 ]
	assert_equal "$(comm -23 "$T/rules" "$T/has")" ''
	assert_equal "$(comm -23 "$T/dashboard" "$T/has")" ''
	# The labels that are asked for, too.
	grep -q '^escrowfs_devices{status="stale"} ' "$M/metrics"
	grep -q '^escrowfs_recipient_expiry_seconds{fingerprint="' "$M/metrics"
}

@test "node_exporter takes it by a link, as nobody" {
	mount_new
	local port
	port=$(free_port)
	mkdir "$T/textfile"
	ln -s "$M/metrics" "$T/textfile/escrowfs.prom"
	setpriv --reuid=65534 --regid=65534 --clear-groups prometheus-node-exporter --collector.disable-defaults \
		--collector.textfile --collector.textfile.directory="$T/textfile" --web.listen-address="127.0.0.1:$port" \
		>"$T/exporter.log" 2>&1 3>&- &
	echo $! >"$T/exporter.pid"
	eventually 100 curl -sf "http://127.0.0.1:$port/metrics" -o "$T/scraped"
	grep -qx 'node_textfile_scrape_error 0' "$T/scraped"
	assert_equal "$(grep -c '^# TYPE escrowfs_' "$T/scraped")" "$(grep -c '^# TYPE' "$M/metrics")"
	grep -qx 'escrowfs_key_present 1' "$T/scraped"
}

@test "promtool takes the rules, and each fires on what it is for and on nothing else" {
	run -0 promtool check rules "$PROMETHEUS/rules.yml"
	assert_has "$output" 'SUCCESS: 13 rules found'
	run -0 promtool test rules "$PROMETHEUS/rules_test.yml"
	assert_has "$output" SUCCESS
	# Each alert is tested: that it fires, and that it doesn't.
	local alert
	for alert in $(sed -n 's/.*- alert: //p' "$PROMETHEUS/rules.yml"); do
		grep -q "alertname: $alert\$" "$PROMETHEUS/rules_test.yml"
		grep -q "{alertname: $alert, eval_time: 4h}" "$PROMETHEUS/rules_test.yml"
	done
}

@test "the dashboard is one that Grafana takes, and its expressions are ones that Prometheus takes" {
	run -0 jq -e '.title and .uid and (.schemaVersion > 30) and ([.panels[].id] | unique | length) == (.panels | length)
		and all(.panels[]; .title and .type and .gridPos and (.targets | length) > 0)' "$PROMETHEUS/dashboard.json"
	# No two panels in one place.
	run -0 jq -e '[.panels[].gridPos | "\(.x) \(.y)"] | unique | length == 16' "$PROMETHEUS/dashboard.json"
	# As rules, which promtool can check without a server.
	# shellcheck disable=SC2016 # the dashboard's own variables
	jq '{groups: [{name: "panels", rules: [.panels[].targets[] | {record: "panel:value",
		expr: (.expr | gsub("\\$__rate_interval"; "5m") | gsub("\\$instance"; ".*"))}]
		| to_entries | map(.value + {labels: {n: "\(.key)"}})}]}' "$PROMETHEUS/dashboard.json" >"$T/panels.json"
	run -0 promtool check rules "$T/panels.json"
	assert_has "$output" SUCCESS
}

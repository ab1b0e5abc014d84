#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2086,SC2153,SC2154,SC2016,SC2317 # tests are subshells; UDID is a plain word; functions that `eventually` calls
# A real Prometheus with examples/prometheus: it gets /metrics by node_exporter and by nginx, alerts on what happens at a
# mount, and answers what the dashboard asks.

load helper

PROMETHEUS=$EXAMPLES/prometheus
PIDS=()

cleanup() {
	[ ${#PIDS[@]} -eq 0 ] || kill "${PIDS[@]}" 2>/dev/null || :
	wait || :
}

# starts NAME COMMAND...: in the background, until the end of the test.
starts() {
	local name=$1
	shift
	"$@" >"$T/$name.log" 2>&1 3>&- &
	PIDS+=($!)
}

# The examples, with paths and ports of this test, and without the patience that a person wants.
here() {
	sed "s|/mnt/\$1/metrics|$T/\$1/metrics|; s|listen 9101|listen 127.0.0.1:$NGINX|; s|:9100|:$EXPORTER|; s|:9101|:$NGINX|
		s|mdm.example.com|127.0.0.1|; s|/escrow/metrics|/mnt/metrics|; s|/etc/prometheus/escrowfs-rules.yml|$PROMETHEUS/rules.yml|" "$1"
}

watched() {
	EXPORTER=$(free_port) NGINX=$(free_port) PORT=$(free_port)
	mkdir "$T/textfile" "$T/nginx" "$T/prometheus"
	ln -s "$M/metrics" "$T/textfile/escrowfs.prom"
	starts exporter setpriv --reuid=65534 --regid=65534 --clear-groups prometheus-node-exporter --collector.disable-defaults \
		--collector.textfile --collector.textfile.directory="$T/textfile" --web.listen-address="127.0.0.1:$EXPORTER"
	here "$PROMETHEUS/nginx.conf" >"$T/nginx/metrics.conf"
	# As Debian's has it.
	cat >"$T/nginx/nginx.conf" <<-END
		user www-data; daemon off; pid $T/nginx/pid; error_log stderr;
		events {}
		http { sendfile on; include /etc/nginx/mime.types; default_type application/octet-stream; access_log off; include $T/nginx/metrics.conf; }
	END
	starts nginx nginx -c "$T/nginx/nginx.conf"
	{
		echo 'global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}'
		here "$PROMETHEUS/prometheus.yml"
	} >"$T/prometheus.yml"
	promtool check config "$T/prometheus.yml" >"$T/config.out"
	starts prometheus prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/prometheus" --web.listen-address="127.0.0.1:$PORT"
}

# api PATH [NAME=VALUE...]: what it answers, which is a success.
api() {
	local path=$1 value
	local -a values
	shift
	for value; do values+=(--data-urlencode "$value"); done
	curl -sS -G "http://127.0.0.1:$PORT/api/v1/$path" "${values[@]}" >"$T/answer"
	jq -e 'select(.status == "success").data' "$T/answer" || { printf '%s: ' "$*" && cat "$T/answer" && false; }
}

# how_many N QUERY: it has as many series now.
how_many() { [ "$(api query "query=$2" | jq '.result | length')" = "$1" ]; }
# answered QUERY: with numbers, one at least.
answered() {
	api query "query=$1" >"$T/data" || { cat "$T/data" && false; }
	jq -e '.result | length > 0 and all(.value[1] | test("^[-+0-9.e]+$"))' "$T/data" >"$T/out" || { echo "$1:" && cat "$T/data" && false; }
}

# alerted ALERT...: these and no others, each on what node_exporter tells and on what nginx does.
alerted() {
	assert_equal "$(api alerts | jq -r '.alerts[] | "\(.labels.job) \(.labels.alertname) \(.state)"' | sort)" \
		"$(for job in escrow node; do printf "$job %s\n" "$@"; done)"
}

@test "it comes by node_exporter and by nginx, what happened fires its alert and nothing else does, the dashboard's questions have answers" {
	mount_new -o max-retrievals=1/h
	device OVERDUE
	device
	unmount
	# A fortnight and a day later.
	sqlite3 "$S/escrow.db" "UPDATE device SET created_at = $(($(date +%s) - 15 * 86400))000000000 WHERE udid = 'OVERDUE'"
	mount_again -o max-retrievals=1/h
	watched
	eventually 100 how_many 2 'up == 1'
	# It has seen all of them at 0, and nothing is wrong but what is.
	eventually 50 how_many 2 'escrowfs_devices_overdue == 1 and escrowfs_audit_walked_timestamp_seconds > 0 and escrowfs_replays_total == 0'
	eventually 50 alerted 'EscrowNoToken pending'

	echo "$TOKEN_1" >"$D/token"
	echo "$TOKEN_2" >"$D/token"
	echo "$TOKEN_1" >"$D/token"
	cat "$D/token" >"$T/out"
	run -1 cat "$D/token"
	{ printf 'Identity: %064d\n\n' 1 && message Authenticate UDID=$UDID; } | checkin
	{ printf 'Identity: %064d\n\n' 2 && message TokenUpdate UDID=$UDID 'AwaitingConfiguration:=<true/>'; } | checkin
	assert_equal "$(status_of)" stale
	eventually 50 alerted 'EscrowIdentityChanged firing' 'EscrowNoToken pending' 'EscrowReadRefused firing' \
		'EscrowStale pending' 'EscrowTokenReplayed firing'
	# What it says to a person is filled in.
	assert_equal "$(api alerts | jq -r '[.alerts[].annotations.summary | select(test("refused|no token|anew"))] | unique[]')" \
		"1 devices have been enrolled for over 14 days and have no token
1 devices were set up anew and haven't escrowed since: their tokens may not work
tokens were asked for and refused, because of: limit"
	assert_equal "$(api rules | jq -r '.groups[].rules[] | select(.health != "ok") | .name, .lastError')" ''

	# As Grafana asks: each panel's expression has an answer, and it is a number.
	jq -r '.panels[].targets[].expr' "$PROMETHEUS/dashboard.json" >"$T/expressions"
	[ "$(wc -l <"$T/expressions")" -ge 30 ]
	local expression
	while read -r expression; do
		expression=${expression//'$__rate_interval'/1m}
		eventually 20 answered "${expression//'$instance'/'.*'}"
	done <"$T/expressions"
	# One of the instances, chosen as it writes it.
	eventually 20 answered "sum(escrowfs_devices_overdue{instance=~\"127\\\\.0\\\\.0\\\\.1:$NGINX\"}) == 1"
	assert_equal "$(api label/instance/values 'match[]=escrowfs_key_present' | jq -r '.[]')" \
		"$(printf '127.0.0.1:%s\n' "$EXPORTER" "$NGINX" | sort)"

	# Not mounted: nothing of it stays, and that is told. (Two read it most of the time.)
	eventually 100 umount "$M"
	eventually 50 how_many 0 escrowfs_key_present
	eventually 50 sh -c "curl -s 'http://127.0.0.1:$PORT/api/v1/alerts' | grep -q EscrowGone"
}

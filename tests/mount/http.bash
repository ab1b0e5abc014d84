# shellcheck shell=bash disable=SC2034,SC2153 # what the suites of the HTTP side use; helper.bash has T, M and S
# A web server in front of a mounted escrow: the examples' own configuration of nginx, its unit's command line of
# fcgiwrap and the README's setfacl, with paths and ports of the test.
#
#   $PORT    where nginx listens, for escrow.example.com (the API) and mdm.example.com (check-ins)
#   $CERTS   certificates: mac-a, mac-b (of the Macs' authority), admin (of the API's), thief (of nobody's)
#   $CGI     the program behind fcgiwrap

# Users of this test alone: behind /checkin, and behind /webhook.
CHECKIN_USER=6101 WEBHOOK_USER=6102
WEB=$EXAMPLES/nginx

authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 9 -subj "/CN=$1" \
		-keyout "$CERTS/$1.key" -out "$CERTS/$1.pem" 2>/dev/null
}

certificate() { # certificate NAME AUTHORITY [EXTENSION]
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" \
		-keyout "$CERTS/$1.key" -out "$CERTS/$1.csr" 2>/dev/null
	openssl x509 -req -in "$CERTS/$1.csr" -CA "$CERTS/$2.pem" -CAkey "$CERTS/$2.key" -CAcreateserial -days 9 \
		-extfile <(echo "${3:-keyUsage=digitalSignature}") -out "$CERTS/$1.pem" 2>/dev/null
}

setup_file() {
	export CERTS=$BATS_FILE_TMPDIR/certificates
	mkdir "$CERTS"
	authority web-ca
	authority devices-ca
	authority clients-ca
	authority nobody-ca
	certificate server web-ca 'subjectAltName=DNS:escrow.example.com,DNS:mdm.example.com'
	certificate mac-a devices-ca
	certificate mac-b devices-ca
	certificate admin clients-ca
	certificate thief nobody-ca
}

# The SHA-256 of a certificate, as Identity has it.
fingerprint() { fingerprint_of "$CERTS/$1.pem"; }
fingerprint_of() { openssl x509 -in "$1" -outform DER | sha256sum | cut -c 1-64; }

# A file of the examples, for this test.
here() {
	sed "s|/mnt/escrow|$M|g; s|/etc/escrowfs/nginx/users|$T/users|; s|/etc/escrowfs/nginx|$CERTS|g; s|/etc/escrowfs/webhook.key|$T/webhook.key|g
		s|/run/escrowfs-|$T/run/|g; s|/usr/local/libexec/escrowfs/escrowfs-cgi|$CGI|g
		s|listen 443 ssl|listen 127.0.0.1:$PORT ssl|; s|client_body_timeout  *10s|client_body_timeout 2s|
		s|escrowfs-checkin:|$CHECKIN_USER:|; s|escrowfs-webhook:|$WEBHOOK_USER:|" "$1"
}

# The README's steps that let users in.
let_in() {
	here "$WEB/README" | sed -n 's/^  *\(setfacl .*\)/\1/p' >"$T/let-in"
	[ "$(wc -l <"$T/let-in")" -eq 3 ]
	bash -e "$T/let-in"
}

# wrap NAME UID [PROCESSES]: what the unit starts, on its socket.
wrap() {
	local command
	command=$(here "$WEB/escrowfs-cgi@.service" | sed -n 's/^ExecStart=//p')
	[ $# -lt 3 ] || command=${command/-c 8/-c $3}
	mkdir "$T/run/$1.d"
	chown "$2" "$T/run/$1.d"
	# shellcheck disable=SC2086 # a command line
	ASAN_OPTIONS=detect_leaks=0 setpriv --reuid="$2" --regid="$2" --clear-groups --inh-caps=-all --bounding-set=-all \
		setsid $command -s "unix:$T/run/$1.d/sock" >>"$T/run/$1.log" 2>&1 </dev/null 3>&- &
	WRAPPED+=($!)
	eventually 100 test -S "$T/run/$1.d/sock"
	# As SocketUser and SocketMode have it.
	chown www-data:root "$T/run/$1.d/sock"
	chmod 0600 "$T/run/$1.d/sock"
	ln -s "$1.d/sock" "$T/run/$1.sock"
	chmod 0755 "$T/run/$1.d"
}

# serve [PROCESSES]: all of it.
serve() {
	CGI=$T/escrowfs-cgi
	WRAPPED=()
	mkdir "$T/nginx" "$T/run"
	install "$(dirname "$(realpath "$ESCROWFS")")/escrowfs-cgi" "$CGI"
	printf 'helpdesk:%s\n' "$(openssl passwd -6 'a password')" >"$T/users"
	echo 'a key of the webhook' >"$T/webhook.key"
	chown "root:$WEBHOOK_USER" "$T/webhook.key"
	chmod 0640 "$T/webhook.key"
	cat >"$T/nginx/nginx.conf" <<-END
		user www-data;
		pid $T/nginx/pid;
		error_log $T/nginx/error.log info;
		events { worker_connections 1024; }
		http {
			access_log $T/nginx/access.log;
			fastcgi_temp_path $T/nginx/fastcgi;
			proxy_temp_path $T/nginx/proxy;
			uwsgi_temp_path $T/nginx/uwsgi;
			scgi_temp_path $T/nginx/scgi;
			client_body_temp_path $T/nginx/body;
			include $T/nginx/api.conf;
			include $T/nginx/checkin.conf;
		}
	END
	wrap checkin $CHECKIN_USER "$@"
	wrap webhook $WEBHOOK_USER "$@"
	# Somebody else may take the port that was free.
	for _ in 1 2 3 4 5; do
		PORT=$(free_port)
		here "$WEB/api.conf" >"$T/nginx/api.conf"
		here "$WEB/checkin.conf" >"$T/nginx/checkin.conf"
		nginx -e "$T/nginx/error.log" -c "$T/nginx/nginx.conf" >"$T/nginx/start" 2>&1 3>&- && return
	done
	cat "$T/nginx/start"
	return 1
}

cleanup() {
	local pid
	[ ! -s "$T/nginx/pid" ] || kill "$(cat "$T/nginx/pid")"
	for pid in "${WRAPPED[@]}"; do
		kill -- "-$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	eventually 50 test ! -e "$T/nginx/pid"
}

# ---- clients ----

# web HOST PATH [OPTION...]: prints the status; the answer is in $ANSWER, and its head in $ANSWER.head.
ANSWER=answer
web() {
	local host=$1 path=$2
	shift 2
	curl -sS -g --path-as-is --max-time 100 --cacert "$CERTS/web-ca.pem" --resolve "$host:$PORT:127.0.0.1" \
		-o "$T/$ANSWER" -D "$T/$ANSWER.head" -w '%{http_code}\n' "$@" "https://$host:$PORT$path"
}

# The last answer has nothing of the kind.
without() {
	[ "$(grep -cE -e "$1" "$T/$ANSWER")" -eq 0 ] || { cat "$T/$ANSWER" && false; }
}

as_cert() { echo "--cert $CERTS/$1.pem --key $CERTS/$1.key"; }

# api PATH [OPTION...]: asks the API, as the help desk.
api() {
	local path=$1
	shift
	web escrow.example.com "$path" -u 'helpdesk:a password' "$@"
}

# put NAME [OPTION...]: standard input, as this Mac sends it.
put() {
	local name=$1
	shift
	# shellcheck disable=SC2046 # options
	web mdm.example.com /checkin -X PUT --data-binary @- -H 'Content-Type: application/x-apple-aspen-mdm-checkin' \
		$(as_cert "$name") "$@"
}

# post [OPTION...]: standard input, as an MDM server sends it that has the key.
post() {
	cat >"$T/$ANSWER.post"
	web mdm.example.com /webhook --data-binary "@$T/$ANSWER.post" -H 'Content-Type: application/json; charset=utf-8' \
		-H "X-Hmac-Signature: $(sign 'a key of the webhook' <"$T/$ANSWER.post")" "$@"
}

sign() { openssl dgst -sha256 -mac HMAC -macopt "key:$1" -binary | base64 -w 0; }

# A webhook's JSON around standard input: event TIME checkin_event|acknowledge_event
event() {
	printf '{"topic":"mdm.Event","event_id":"e","created_at":"%s","%s":{"udid":"%s","url_params":null,"raw_payload":"%s"}}' \
		"$1" "$2" "$UDID" "$(base64 -w 0)"
}

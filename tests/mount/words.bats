#!/usr/bin/env bats
# shellcheck disable=SC2086,SC2154 # the helper's words, and bats' own
# What commands print: plain words on any terminal, no colour, times in UTC as RFC 3339 has them.

load helper

# Each command that shows something, a line each. DIR is a fresh name.
commands() {
	cat <<-END
		status $S
		status --json $S
		history $S $UDID
		verify $S
		import --dry-run $S $EXAMPLES/messages
		import $S $EXAMPLES/messages
		rekey $S --list
		accept $S
		export $S --to csv $T/out.$1
		purge $S --before 2020-01-01 --yes
		--help
		--version
		status --help
		import --help
		mount --help
	END
}

prepare() {
	escrowfs init "$S" >"$T/init.out"
	set_token "$TOKEN_1" | escrowfs import "$S" - >/dev/null
	set_token "$TOKEN_2" | escrowfs import "$S" - >/dev/null
}

# on_terminal TERM COMMAND...: runs it on a terminal of that kind; what the terminal was sent is in $T/typescript.
on_terminal() {
	local kind=$1
	shift
	TERM=$kind script -q -e -c "'$ESCROWFS' $*" "$T/typescript" </dev/null >/dev/null
}

@test "in a pipe: ASCII words, no control character but the newline, whatever the locale and the terminal" {
	local command locale
	for locale in C C.UTF-8; do
		while read -r command; do
			# shellcheck disable=SC2086 # words
			LC_ALL=$locale TERM=xterm-256color CLICOLOR_FORCE=1 escrowfs $command >"$T/text" 2>&1 </dev/null
			[ -s "$T/text" ]
			LC_ALL=C run ! grep -anP '[^\x20-\x7e]' "$T/text"
		done < <(commands $locale)
	done
}

@test "on a terminal: no colour, with NO_COLOR and without; on a dumb one nothing that it would show as rubbish" {
	local command kind
	for kind in xterm-256color dumb; do
		while read -r command; do
			on_terminal $kind "$command"
			LC_ALL=C run ! grep -anP '\x1b\[[0-9;]*m' "$T/typescript"
			[ $kind = xterm-256color ] || LC_ALL=C run ! grep -anP '\x1b|[\x80-\x9f]' "$T/typescript"
		done < <(commands $kind)
	done
	NO_COLOR=1 on_terminal xterm-256color "status $S"
	LC_ALL=C run ! grep -anP '\x1b' "$T/typescript"
}

@test "on a terminal progress is one line that is wiped; on a dumb one, and in a pipe, it is not there" {
	# Long enough for it to be shown.
	python3 - >"$T/table.csv" <<-'PY'
		import base64
		print("udid,token")
		for i in range(12000):
		    print(f"D-{i},{base64.b64encode(b'token number %d' % i).decode()}")
	PY
	on_terminal xterm "import --dry-run $S $T/table.csv"
	grep -q $'taken in: [0-9]' "$T/typescript"
	grep -q $'\033\\[K' "$T/typescript"
	LC_ALL=C run ! grep -anP '\x1b(?!\[K)' "$T/typescript"
	on_terminal dumb "import --dry-run $S $T/table.csv"
	run ! grep -aq $'\033' "$T/typescript"
	run ! grep -aq 'taken in' "$T/typescript"
	run -0 --separate-stderr escrowfs import --dry-run "$S" "$T/table.csv"
	assert_equal "$stderr" ''
}

@test "times are UTC, as RFC 3339 has them, wherever the machine stands" {
	local command zone
	TZ=America/St_Johns escrowfs status --json "$S" >"$T/json"
	[[ $(jq -r .time "$T/json") =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$ ]]
	[ $(($(date +%s) - $(date -d "$(jq -r .time "$T/json")" +%s))) -lt 600 ]
	for zone in America/St_Johns Asia/Kathmandu; do
		while read -r command; do
			# shellcheck disable=SC2086 # words
			TZ=$zone escrowfs $command >"$T/text" 2>&1 </dev/null
			cat "$T"/out.*/tokens.csv >>"$T/text" 2>/dev/null || :
			# A time of day is part of a whole time that ends in Z; a day is the calendar's.
			run ! grep -nP '(?<!T)(?<![0-9:])[0-9]{1,2}:[0-9]{2}:[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(?![0-9.Z:])' "$T/text"
			run ! grep -nE '[+-][0-9]{2}:?[0-9]{2}$|\<(NST|NDT|Mon|Tue|Wed|Thu|Fri|Sat|Sun),? ' "$T/text"
		done < <(commands "${zone##*/}")
		# The same day, wherever.
		assert_equal "$(TZ=$zone escrowfs history "$S" $UDID)" "$(TZ=UTC escrowfs history "$S" $UDID)"
		assert_equal "$(TZ=$zone escrowfs rekey "$S" --list)" "$(TZ=UTC escrowfs rekey "$S" --list)"
		# (Others fill the same disk meanwhile.)
		assert_equal "$(TZ=$zone escrowfs status "$S" | sed 's/ (.* free on its disk)//')" \
			"$(TZ=UTC escrowfs status "$S" | sed 's/ (.* free on its disk)//')"
	done
	escrowfs history "$S" $UDID | grep -qE '^ +1  20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z  20'
}

@test "names in UTF-8 come out as they are, what is no UTF-8 and what a terminal would obey doesn't" {
	local store=$T/$'Bär\033[2J\x9bx'
	escrowfs init "$store" >/dev/null
	run -0 escrowfs status "$store"
	assert_has "$output" 'store       /'
	assert_has "$output" 'Bär?[2J?x, '
	LC_ALL=C run ! grep -qaP '\x1b|\x9bx' <<<"$output"
	escrowfs status --json "$store" | jq -e '.store | test("Bär")'
}

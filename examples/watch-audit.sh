#!/bin/sh
# Follows the audit trail and says what an administrator wants to hear of, a line each: reads that were
# refused, and tokens that can't be sealed as recipients= wants it; tokens that came again, client certificates that changed, tokens that were exported or destroyed,
# other recipients, and a trail that ends.
#
#   watch-audit.sh
#   watch-audit.sh | while read -r line; do logger -p auth.warning -t escrow -- "$line"; done
#   watch-audit.sh --all </mnt/escrow/audit        of the whole trail, or of a copy of one; then it ends
#
# Lines: time (UTC), a word, the device, the sentence of the trail, and who. The word is one of REFUSED,
# REPLAYED, IDENTITY, EXPORTED, PURGED, REKEYED. Of an export or a purge, which leave a line a token, the first
# is said. What the kernel refuses isn't on the trail: see escrowfs.rules.
#
# It needs jq. ESCROW is where the escrow is mounted; /mnt/escrow unless set. It goes on when the escrow is
# mounted anew. While it runs, umount(8) says that the target is busy: end it first, or the mount by SIGTERM.
set -u
me=${0##*/}
escrow=${ESCROW:-/mnt/escrow}

# Whatever a process calls itself, no terminal obeys it.
# shellcheck disable=SC2016 # jq's variables
filter='
def plain: tostring | gsub("[\\x{00}-\\x{1f}\\x{7f}-\\x{9f}]"; "?");
def word:
	if .action == "refuse" and (.outcome | IN("ENOKEY", "EBADMSG", "EDQUOT", "EKEYREJECTED")) then "REFUSED"
	elif .action == "retrieve" and .outcome == "none" and ((.reason // "") | test("certificate")) then "REFUSED"
	elif .action == "escrow" and ((.reason // "") | test("a replay: ")) then "REPLAYED"
	elif .action == "identity" and ((.reason // "") | test("^bound to ") | not) then "IDENTITY"
	elif .action == "export" then "EXPORTED"
	elif .action == "purge" then "PURGED"
	elif .action == "rekey" and .udid == null then "REKEYED"
	else null end;
# tail(1) shows a trail that is mounted anew from its start.
foreach (inputs | fromjson? | select(type == "object")) as $line ({};
	[$line.time, $line.seq] as $at
	| if $at <= (.at // []) then .say = false else
	($line | word) as $word
	| (if $word == "EXPORTED" or $word == "PURGED" then [$word, $line.pid, $line.loginuid] else null end) as $run
	| {say: ($word != null and ($run == null or $run != .run)), word: $word, run: ($run // .run), at: $at} end;
	select(.say) | .word as $word | $line
	| "\(.time | plain)  \($word)  \(.udid // "-" | plain)  \(.reason // .outcome | plain)"
	  + "  (\(.command // "-" | plain), uid \(.uid // "-" | plain)"
	  + (if .loginuid then ", logged in as \(.loginuid | plain)" else "" end) + ")")'

die() {
	echo "$me: $*" >&2
	exit 2
}

command -v jq >/dev/null || die "jq isn't installed"
case $#:${1:-} in
0:) ;;
1:--all) exec jq -n -R -r --unbuffered "$filter" ;;
*) die "usage: $me [--all <TRAIL]" ;;
esac
[ -r "$escrow/audit" ] || die "$escrow/audit is no audit trail, or may not be read"
tail -n 0 -F "$escrow/audit" | jq -n -R -r --unbuffered "$filter"

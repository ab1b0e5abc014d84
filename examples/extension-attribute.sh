#!/bin/sh
# On a Mac: does what it says of its Bootstrap Token agree with what the escrow says of it?
#
#   Jamf:   as an extension attribute (string). It prints <result>WORD: sentence</result>.
#   Munki:  in /usr/local/munki/conditions; with MUNKI=1 in its environment, or under a name that starts with
#           "munki", it sets the condition `bootstrap_token` to the word.
#
# The escrow is asked over HTTPS, as a Workspace ONE UEM client asks (examples/nginx has the server's side):
#
#   GET $ESCROW_URL/api/mdm/devices/security?searchby=Udid&id=UDID
#
# ESCROW_URL     https://escrow.example.com unless set
# ESCROW_CURL    a file of options for curl that root alone can read: who asks, by password or certificate
#                (user = "reader:password"; cert = "/path"). /usr/local/etc/escrow.curl unless set; none is fine.
#                Nothing of it stands in an argument, where other users could see it.
# ESCROW_UDID    the Mac's own unless set
#
# Words:  agree          both have it
#         none           neither has it
#         mac_only       the Mac says that it is escrowed, and the escrow has none
#         escrow_only    the escrow has one, and the Mac says that none is escrowed: it may have been set up anew
#         unsupported    the MDM profile doesn't offer it (com.apple.mdm.bootstraptoken), or macOS is too old
#         unknown        the escrow has no such device
#         unreachable    it can't be asked
#
# Exit: 0, whatever the word; a management tool reads what is printed.
set -u
url=${ESCROW_URL:-https://escrow.example.com}
options=${ESCROW_CURL:-/usr/local/etc/escrow.curl}

answer() { # answer WORD SENTENCE
	case ${MUNKI:-}${0##*/} in
	1* | munki*)
		directory=$(defaults read /Library/Preferences/ManagedInstalls ManagedInstallDir 2>/dev/null) ||
			directory='/Library/Managed Installs'
		defaults write "$directory/ConditionalItems" bootstrap_token -string "$1"
		plutil -convert xml1 "$directory/ConditionalItems.plist"
		;;
	*) printf '<result>%s: %s</result>\n' "$1" "$2" ;;
	esac
	exit 0
}

# ---- what the Mac says ----

mac=$(profiles status -type bootstraptoken 2>&1)
case $mac in
*'supported on server: NO'*) answer unsupported 'the MDM server offers the Mac no escrow' ;;
*'escrowed to server: YES'*) mac=true ;;
*'escrowed to server: NO'*) mac=false ;;
*) answer unsupported 'this Mac knows nothing of Bootstrap Tokens' ;;
esac

# ---- what the escrow says ----

# MDM knows a Mac by its hardware UUID, on Apple silicon, too.
udid=${ESCROW_UDID:-$(ioreg -rd1 -c IOPlatformExpertDevice | awk -F'"' '/"IOPlatformUUID"/ { print $4 }')}
case $udid in
'' | *[!A-Za-z0-9-]*) answer unreachable 'the Mac does not say what its UDID is' ;;
esac
set -- --silent --max-time 30 --write-out '\n%{http_code}' --get \
	--data searchby=Udid --data "id=$udid" "$url/api/mdm/devices/security"
[ -r "$options" ] && set -- --config "$options" "$@"
reply=$(curl "$@")
code=$(printf '%s\n' "$reply" | tail -n 1)
case $code in
200) ;;
404) answer unknown "the escrow has no device $udid" ;;
000 | '') answer unreachable "$url does not answer" ;;
*) answer unreachable "$url answers with HTTP status $code" ;;
esac
# The key is there once, at the top; macOS has jq since 15 only.
escrow=$(printf '%s' "$reply" | tr -d ' \t\r\n' | grep -o '"BootstrapTokenEscrowStatus":[a-z]*' | cut -d: -f2)

case $mac/$escrow in
true/true) answer agree 'the Mac says that it is escrowed, and the escrow has it' ;;
false/false) answer none 'no token is escrowed' ;;
true/false) answer mac_only 'the Mac says that it is escrowed, and the escrow has none: profiles install -type bootstraptoken' ;;
false/true) answer escrow_only 'the escrow has one, and the Mac says that none is escrowed: profiles install -type bootstraptoken' ;;
*) answer unreachable "what $url answers is no security.json" ;;
esac

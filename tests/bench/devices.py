#!/usr/bin/env python3
"""Makes sources for import: N made-up devices, each with a token of its own, in a fixed order.

    devices.py csv|messages|enrolments N >FILE

csv: udid,serial,token. messages: a SetBootstrapToken each. enrolments: what each device sent when it
enrolled, Authenticate, TokenUpdate and SetBootstrapToken.
"""
import base64, hashlib, sys

TOKEN = 192  # bytes

AUTHENTICATE = """	<key>BuildVersion</key>
	<string>23A344</string>
	<key>Challenge</key>
	<data></data>
	<key>DeviceName</key>
	<string>Mac</string>
	<key>MessageType</key>
	<string>Authenticate</string>
	<key>Model</key>
	<string>MacBookPro18,3</string>
	<key>ModelName</key>
	<string>MacBook Pro</string>
	<key>OSVersion</key>
	<string>14.0</string>
	<key>ProductName</key>
	<string>MacBookPro18,3</string>
	<key>SerialNumber</key>
	<string>{serial}</string>
	<key>Topic</key>
	<string>com.apple.mgmt.External.00000000</string>
	<key>UDID</key>
	<string>{udid}</string>
"""
TOKEN_UPDATE = """	<key>AwaitingConfiguration</key>
	<false/>
	<key>MessageType</key>
	<string>TokenUpdate</string>
	<key>NotOnConsole</key>
	<false/>
	<key>PushMagic</key>
	<string>00000000-0000-4000-8000-000000000000</string>
	<key>Token</key>
	<data>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</data>
	<key>Topic</key>
	<string>com.apple.mgmt.External.00000000</string>
	<key>UDID</key>
	<string>{udid}</string>
"""
SET_BOOTSTRAP_TOKEN = """	<key>AwaitingConfiguration</key>
	<false/>
	<key>BootstrapToken</key>
	<data>{token}</data>
	<key>MessageType</key>
	<string>SetBootstrapToken</string>
	<key>UDID</key>
	<string>{udid}</string>
"""
PLIST = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
%s</dict>
</plist>
"""
FORMS = {
    "csv": "{udid},{serial},{token}\n",
    "messages": PLIST % SET_BOOTSTRAP_TOKEN,
    "enrolments": "".join(PLIST % body for body in (AUTHENTICATE, TOKEN_UPDATE, SET_BOOTSTRAP_TOKEN)),
}


def device(i):
    h = hashlib.sha256(b"%d" % i).hexdigest().upper()
    token = hashlib.shake_256(b"token %d" % i).digest(TOKEN)
    return {
        "udid": f"{h[:8]}-{h[8:12]}-4{h[12:15]}-8{h[15:18]}-{h[18:30]}",
        "serial": f"C02{i:09d}",
        "token": base64.b64encode(token).decode(),
    }


def main():
    form, count = sys.argv[1], int(sys.argv[2])
    if form == "csv":
        sys.stdout.write("udid,serial,token\n")
    for i in range(count):
        sys.stdout.write(FORMS[form].format(**device(i)))


main()

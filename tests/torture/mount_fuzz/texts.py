"""What programs write to an escrow: pieces of text, and what each means.

A piece is bytes that stand for one whole message. What is written may be cut anywhere and may have rubbish in it
(spoil() says what can never make another valid message of it); read_*() say what a whole text means: a Message,
or None when it is refused.
"""

import base64
import collections
import json
import plistlib
import re

UDIDS = ["9353BC9A-0001", "E621E1F8-0002", "f000-0003", "K"]
OTHER_CASES = ["9353bc9a-0001", "k"]
BAD_NAMES = ["not_a_udid", "x" * 65, "a.b"]
SERIALS = ["C02Example1", "c02example2"]
MACS = ["00:11:22:aa:bb:cc", "0a1b2c3d4e5f"]
SYSTEMS = ["10.14.6", "10.15.2", "10.15.7", "10.16", "11.2", "14.7", "17.5"]
MODELS = ["MacBookPro18,1", "iPad14,1", "AppleTV6,2"]
IDENTITIES = ["11" * 32, "ab" * 32]
TOKENS = [b"token one", b"token number two", b"\x00\xff token \x80 three", b"long " * 40]

# kind; device's name; token: None or bytes; facts: a dict of what is reported, None for unknown.
Message = collections.namedtuple("Message", "kind udid token facts awaiting preflight user_enrolled user_channel "
                                 "webhook identity", defaults=("", None, {}, False, False, False, False, False, ""))

# Of Authenticate: an enrolment may be another one than before.
ASKED_AGAIN = ["EnrolledViaDEP", "UserApprovedEnrollment", "IsUserEnrollment", "IsSupervised"]
FLAGS = ["IsEncrypted", "EnrolledViaDEP", "UserApprovedEnrollment", "IsSupervised", "IsUserEnrollment",
         "IsRecoveryLockEnabled"]
WORDS = ["SerialNumber", "OSVersion", "Model", "MacAddress"]
READ_OVER = ["BootstrapTokenEscrowStatus", "PersonalRecoveryKey", "Status", "Versions", "DeviceId", "Reasons"]
OUTSIDE_ESCROW = ["IsEncrypted", "EnrolledViaDEP", "UserApprovedEnrollment", "IsRecoveryLockEnabled"]

BLANK = b" \t\r\n"

RUBBISH = {"xml": b"<<", "json": b"\x01", "binary": b"\x00", "unknown": b"!", "base64": b"!"}

used = set()  # those that a run came upon
known = {}  # text of a property list, JSON or headers and all: its Message


def line(token):
    return base64.b64encode(token) + b"\n"


def remember(text, message):
    known[text] = message
    return text


def plist(content, message, binary=False):
    form = plistlib.FMT_BINARY if binary else plistlib.FMT_XML
    text = plistlib.dumps(content, fmt=form)
    return remember(text if binary else text.rstrip(), message)


class NotModelled(Exception):
    """Nobody knows what that means."""


def meaning(text):
    """The Message that a whole text is, or None when it is refused."""
    found = whole(text)
    used.add(found)
    if found is None and form(text) != "binary" and RUBBISH["xml"] not in text and RUBBISH["json"] not in text:
        raise NotModelled
    return known.get(found)


def whole(text):
    """The text of the message in it that is known, or None. A binary one may end in what looks like white space."""
    text = text.lstrip(BLANK)
    while text not in known:
        if not text[-1:] or text[-1:] not in BLANK:
            return None
        text = text[:-1]
    return text


# ---- through `token` ----

def set_token(udid, token, binary=False, **more):
    content = {"MessageType": "SetBootstrapToken"}
    if udid:
        content["EnrollmentID" if more.get("user_enrolled") else "UDID"] = udid
    if token is not None:
        content["BootstrapToken"] = token
    return plist(content, Message("Set", udid or "", token or None, **more), binary)


def token_piece(dice, udid):
    token = dice.choice(TOKENS)
    return dice.choice([
        lambda: line(token), lambda: line(token), lambda: line(token).rstrip(),
        lambda: base64.encodebytes(token),
        lambda: set_token(udid, token), lambda: set_token(udid, token, True),
        lambda: set_token("", token), lambda: set_token(udid.swapcase(), token),
        lambda: set_token(udid, None), lambda: set_token(udid, b""),
        lambda: set_token(dice.choice(UDIDS), token),
        lambda: b"ABCD-EFGH-IJKL-MNOP-QRST-UVWX\n", lambda: b"dG9r!\n", lambda: b"\n", lambda: b"{}",
        lambda: b"A" * 65537 + b"\n",
        lambda: plist({"MessageType": "GetBootstrapToken", "UDID": udid}, Message("Get", udid)),
    ])()


def strict_base64(text):
    """White space between groups of four only; None: it is none, or empty, or a recovery key."""
    text = text.strip(b" \t\r\n")
    if re.fullmatch(rb"([A-Za-z0-9]{4}[- \t\r\n]+){5}[A-Za-z0-9]{4}", text):
        return None
    groups = re.fullmatch(rb"(?:[A-Za-z0-9+/]{4}[ \t\r\n]*)*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text)
    if not text or not groups:
        return None
    joined = re.sub(rb"[ \t\r\n]", b"", text)
    token = base64.b64decode(joined)
    return token if base64.b64encode(token) == joined else None


# ---- security.json ----

def security_piece(dice, udid):
    flag = lambda: dice.choice([True, False, None])
    return json.dumps(dice.choice([
        lambda: {"OSVersion": dice.choice(SYSTEMS + [None, ""])},
        lambda: {"Escrow": {"Model": dice.choice(MODELS + [None]), "IsSupervised": flag(), "Udid": udid}},
        lambda: {"EnrolledViaDEP": flag(), "UserApprovedEnrollment": flag()},
        lambda: {"IsUserEnrollment": flag()},
        lambda: {"SerialNumber": dice.choice(SERIALS + [None]), "MacAddress": dice.choice(MACS + [None])},
        lambda: {"IsEncrypted": flag(), "PersonalRecoveryKey": "secret", "Status": "stale"},
        lambda: {"BootstrapTokenEscrowStatus": True, "Escrow": {"Status": "escrowed", "Versions": [1]}},
        lambda: {"IsEncripted": True}, lambda: {"IsEncrypted": "yes"}, lambda: {"OSVersion": 14},
        lambda: {"Escrow": {"Udid": "another"}}, lambda: {"Escrow": {"IsEncrypted": True}},
        lambda: {"MacAddress": "none"}, lambda: {},
    ])(), indent=dice.choice([None, 2])).encode()


def read_security(text, udid):
    """The facts that it says, or None."""
    try:
        return read_object(json.loads(text), udid, False)
    except (ValueError, KeyError, RecursionError):
        return None


def read_object(content, udid, inside):
    facts = {}
    for key, value in content.items():
        if key == "Escrow" and not inside:
            if value is not None:
                facts.update(read_object(value, udid, True))
        elif key == "Udid":
            if value is not None and value.lower() != udid.lower():
                raise ValueError
        elif key in FLAGS and not (inside and key in OUTSIDE_ESCROW):
            if value not in (True, False, None) or isinstance(value, int) and not isinstance(value, bool):
                raise ValueError
            facts[key] = value
        elif key in WORDS:
            if value is not None and not isinstance(value, str):
                raise ValueError
            facts[key] = (address(value) if key == "MacAddress" and value else value) or None
        elif key not in READ_OVER or inside and key == "PersonalRecoveryKey":
            raise ValueError
    return facts


def address(text):
    digits = re.sub("[-:. ]", "", text).upper()
    if not re.fullmatch("[0-9A-F]{12}", digits):
        raise ValueError
    return digits


# ---- /checkin ----

def reported(facts, names):
    return {name: value for name, value in facts.items() if name in names}


def authenticate(dice, udid):
    facts = {"SerialNumber": dice.choice(SERIALS), "OSVersion": dice.choice(SYSTEMS), "Model": dice.choice(MODELS)}
    facts = {key: value for key, value in facts.items() if dice.random() < 0.8}
    content = {"MessageType": "Authenticate", "UDID": udid, "Topic": "com.apple.mgmt", **facts}
    return plist(content, Message("Authenticate", udid, facts={**{a: None for a in ASKED_AGAIN}, **facts}))


def security_info(dice, udid):
    flags = {"EnrolledViaDEP": dice.random() < 0.5, "UserApprovedEnrollment": dice.random() < 0.5}
    flags = {key: value for key, value in flags.items() if dice.random() < 0.8}
    info = {"FDE_Enabled": dice.random() < 0.5, "ManagementStatus": flags}
    content = {"UDID": udid, "CommandUUID": "C", "Status": "Acknowledged", "SecurityInfo": info}
    return plist(content, Message("SecurityInfo", udid, facts={"IsEncrypted": info["FDE_Enabled"], **flags}))


def device_information(dice, udid):
    answers = {"OSVersion": dice.choice(SYSTEMS), "IsSupervised": dice.random() < 0.5, "Model": dice.choice(MODELS),
               "EthernetMAC": dice.choice(MACS), "EACSPreflight": dice.choice(["success", "failed"])}
    answers = {key: value for key, value in answers.items() if dice.random() < 0.6}
    facts = {key: value for key, value in answers.items() if key not in ("EthernetMAC", "EACSPreflight")}
    if "EthernetMAC" in answers:
        facts["MacAddress"] = address(answers["EthernetMAC"])
    content = {"UDID": udid, "CommandUUID": "C", "Status": "Acknowledged", "QueryResponses": answers}
    return plist(content, Message("DeviceInformation", udid, facts=facts,
                                  preflight=answers.get("EACSPreflight") == "success"))


def simple(kind, udid, binary=False, **more):
    words = {"Get": "GetBootstrapToken"}
    return plist({"MessageType": words.get(kind, kind), "UDID": udid}, Message(kind, udid, **more), binary)


def update(udid, awaiting):
    content = {"MessageType": "TokenUpdate", "UDID": udid, "AwaitingConfiguration": awaiting, "Token": b"push"}
    return plist(content, Message("TokenUpdate", udid, awaiting=awaiting))


def on_user_channel(udid):
    content = {"MessageType": "TokenUpdate", "UDID": udid, "UserID": "U"}
    return plist(content, Message("Other", udid, user_channel=True))


def webhook(text):
    event = {"topic": "mdm.Checkin", "checkin_event": {"raw_payload": base64.b64encode(text).decode()}}
    return remember(json.dumps(event).encode(), known[text]._replace(webhook=True))


def with_headers(dice, text):
    identity = dice.choice(IDENTITIES)
    head = f"Content-Type: x\nIdentity: {identity}\n\n".encode()
    return remember(head + text, known[text]._replace(identity=identity))


def checkin_piece(dice, udid):
    token = dice.choice(TOKENS)
    binary = dice.random() < 0.3
    text = dice.choice([
        lambda: authenticate(dice, udid), lambda: security_info(dice, udid), lambda: device_information(dice, udid),
        lambda: update(udid, False), lambda: update(udid, True), lambda: simple("CheckOut", udid, binary),
        lambda: set_token(udid, token, binary), lambda: set_token(udid, token, binary),
        lambda: set_token(udid, None), lambda: set_token(udid, token, user_enrolled=True),
        lambda: simple("Get", udid, binary), lambda: simple("Get", udid, binary), lambda: simple("Get", udid),
        lambda: on_user_channel(udid), lambda: plist({"Status": "Idle", "UDID": udid}, Message("Other", udid)),
        lambda: plist({"MessageType": "Authenticate"}, None),
        lambda: remember(b"<plist></dict></plist>", None), lambda: b"0000", lambda: b" \n",
    ])()
    if known.get(text) and dice.random() < 0.3:
        text = webhook(text) if dice.random() < 0.3 or text.startswith(b"bplist") else with_headers(dice, text)
    return text


# ---- where a message ends ----


def form(text):
    text = text.lstrip(BLANK)
    if not text:
        return "unknown"
    for start, name in ((b"<", "xml"), (b"{", "json"), (b"bplist", "binary")):
        if text.startswith(start):
            return name
    return "unknown" if b"bplist".startswith(text) or b"-----".startswith(text) else "base64"


def headers_end(text):
    """Where header lines and the empty line behind them end; 0: there are none; None: not yet."""
    at = len(text) - len(text.lstrip(BLANK))
    if at == len(text):
        return None
    if not text[at:at + 1].isalpha() or text.startswith(b"bplist", at):
        return 0
    while True:
        name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*").match(text, at).end()
        if name - at > 64:
            return 0
        if re.compile(b"\r?\n").match(text, at):
            return re.compile(b"\r?\n").match(text, at).end()
        if name == len(text) or text[at:] == b"\r":
            return None
        if name == at or text[name:name + 1] != b":":
            return 0
        at = text.find(b"\n", at) + 1
        if not at:
            return None


def json_end(text):
    """Behind the brace that closes the first object, or 0."""
    depth, inside, at = 0, False, 0
    while at < len(text):
        c = text[at:at + 1]
        if inside:
            if c == b"\\":
                at += 1
            inside = c != b'"'
        elif c == b'"':
            inside = True
        elif c == b"{":
            depth += 1
        elif c == b"}":
            depth -= 1
            if depth <= 0:
                return at + 1
        at += 1
    return 0


def xml_end(text):
    at = text.find(b"</plist>")
    return at + len(b"</plist>") if at >= 0 else 0


def spoil(text):
    """Rubbish that leaves no way to be valid, for what has been written so far."""
    return RUBBISH[form(text)]

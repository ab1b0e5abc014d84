"""The tree that a mount shows: what there is, who may walk to it, and the devices under it."""

import plistlib

from device import Device
from gate import ROOT, SEARCH, Access, User

USERS = {
    "root": ROOT, "also": ROOT, "mdm": User(1001, 2001, ()), "desk": User(1002, 2002, ()),
    "guest": User(1003, 2003, (2001,)),
}
WORDS = ["unenrolled", "stale", "escrowed", "not_supported", "not_eligible", "not_escrowed"]
SEARCHES = ["udid", "serialnumber", "macaddress", "imeinumber", "deviceid", "status"]
FILES = {"": 0o750, "security.json": 0o640, "bootstrap_status": 0o440, "token": 0o600}
TREE = {  # path: mode
    "/": 0o755, "/devices": 0o750, "/search": 0o750, "/policy": 0o755, "/checkin": 0o600, "/audit": 0o400,
    "/metrics": 0o444, "/policy/device": 0o750, "/policy/security.json": 0o640, "/policy/bootstrap_status": 0o440,
    "/policy/token": 0o600, **{f"/search/{by}": 0o755 for by in SEARCHES},
    **{f"/search/status/{word}": 0o755 for word in WORDS},
}
PLAIN_FILES = ("/checkin", "/audit", "/metrics", "/policy/security.json", "/policy/bootstrap_status", "/policy/token")
TARGETS = {"token": "token", "security.json": "security", "/checkin": "checkin"}
NOT_DONE = object()  # the operation makes no sense here: nobody calls it


class Refusal(Exception):
    pass


class Check:
    """What a call returns, when that is no one value: look() gives a sentence if it is wrong."""

    def __init__(self, look, after=lambda got: None):
        self.look, self.after = look, after


ANYTHING = Check(lambda got: None if not isinstance(got, str) else f"it failed with {got}")


class Node:
    """path: of the tree's own; device and file: of a device's; link: where a link leads."""

    def __init__(self, path="", device=None, file="", link=None):
        self.path, self.device, self.file, self.link = path, device, file, link

    def is_directory(self):
        return not self.link and (self.file == "" if self.device else self.path not in PLAIN_FILES)

    def key(self):
        return (self.device, self.file) if self.device else self.path

    def target(self):
        return TARGETS.get(self.file if self.device else self.path)


class Handle:
    def __init__(self, node, readable, writable):
        self.node, self.readable, self.writable, self.users = node, readable, writable, 1
        self.position, self.writer, self.content = 0, None, b""


def wrong_reply(text, wanted):
    """wanted: bytes; what a property list says; None for a sentence."""
    if isinstance(text, str):
        return f"it should be a reply, {wanted!r}"
    if wanted is None:
        good = text.endswith(b"\n") and len(text) > 10
    elif isinstance(wanted, dict):
        try:
            good = plistlib.loads(text) == wanted
        except (ValueError, plistlib.InvalidFileException):
            good = False
    else:
        good = text == wanted
    return None if good else f"the reply should be {'a sentence' if wanted is None else wanted!r}"


class Tree:
    def __init__(self):
        self.devices, self.made, self.numbers = {}, 0, {}
        self.settings = {}
        self.trail, self.clock = [], 0
        self.slots = {}

    # ---- for devices ----

    def record(self, action, outcome, name, version):
        self.trail.append((action, outcome, name, version))

    def tick(self):
        self.clock += 1
        return self.clock

    def next_number(self, name):
        self.numbers[name.lower()] = self.numbers.get(name.lower(), 0) + 1
        return self.numbers[name.lower()]

    def find(self, name):
        return next((d for d in self.devices.values() if d.name.lower() == name.lower()), None)

    def add(self, name, user_enrolled=False):
        device = self.devices[name] = Device(self, name, user_enrolled)
        device.id = 256 + self.made
        self.made += 1
        return device

    def check_in(self, message, readable):
        """An errno's name or None, and the reply: bytes, or what its property list says."""
        if message.kind == "Other" or message.user_channel:
            return None, b""
        if message.kind == "Set" and message.user_enrolled:
            return "EPERM", None
        device = self.find(message.udid)
        if message.kind == "Get":
            return None, self.answer(message, device, readable)
        if not device and message.kind == "CheckOut":
            return None, b""
        device = device or self.add(message.udid)
        device.note_identity(message.identity)
        {"Authenticate": device.on_authenticate, "TokenUpdate": device.on_token_update,
         "CheckOut": device.on_check_out, "Set": device.on_set, "SecurityInfo": device.on_facts,
         "DeviceInformation": device.on_facts}[message.kind](message)
        return None, b""

    def answer(self, message, device, readable):
        gets = readable and not message.webhook
        token = None
        if device:
            device.note_identity(message.identity)
        if device and gets and not device.unenrolled:
            token = device.retrieve()
        else:
            self.record("retrieve", "none", device.name if device else message.udid, 0)
        if not gets:
            return b""
        return {} if token is None else {"BootstrapToken": token}

    # ---- the tree ----

    def access(self, node):
        if node.key() in self.settings:
            return self.settings[node.key()]
        if not node.device:
            return Access(mode=TREE[node.path])
        policy = "/policy/" + (node.file or "device")
        return self.settings.get(policy, Access(mode=FILES[node.file]))

    def walk(self, user, path):
        node = Node("/")
        for name in path.strip("/").split("/"):
            if not node.is_directory():
                raise Refusal("ENOTDIR")
            if not self.access(node).may(user, SEARCH):
                raise Refusal("EACCES")
            node = self.child(node, name)
            if not node:
                raise Refusal("ENOENT")
        return node

    def child(self, node, name):
        if node.device:
            return Node(device=node.device, file=name) if name and name in FILES else None
        if node.path == "/devices":
            return Node(device=self.devices[name]) if name in self.devices else None
        path = node.path.rstrip("/") + "/" + name
        if path in TREE:
            return Node(path)
        device = self.search(node.path, name)
        up = "../../../" if node.path.startswith("/search/status/") else "../../"
        return Node(path, link=f"{up}devices/{device.name}") if device else None

    def search(self, directory, name):
        names = self.names(directory)
        if directory == "/search/macaddress":
            name = "".join(c for c in name if c not in ":-. ")
        return names.get(name.lower())

    def names(self, directory):
        """What a directory of links lists, folded: the device of each."""
        by = directory.split("/")
        found = {}
        if by[1] != "search" or len(by) < 3:
            return found
        order = sorted(self.devices.values(), key=lambda d: (max(d.enrolled_at, d.reenrolled_at), d.id))
        for device in order:
            name = {"udid": device.name, "serialnumber": device.facts.get("SerialNumber"),
                    "macaddress": device.facts.get("MacAddress"), "deviceid": str(device.id),
                    "status": device.name if by[-1] == device.word() else None}.get(by[2])
            if name:
                found[name.lower()] = device
        return found

    def listing(self, node):
        if node.device:
            return sorted(name for name in FILES if name)
        if node.path == "/devices":
            return sorted(self.devices)
        below = node.path.rstrip("/") + "/"
        fixed = [path[len(below):] for path in TREE if path.startswith(below) and path != below]
        named = self.names(node.path)
        shown = [d.name for d in named.values()] if node.path.split("/")[-1] in WORDS + ["udid"] else list(named)
        return sorted([name for name in fixed if "/" not in name] + shown)

    # ---- making calls ----

    def call(self, who, name, *arguments):
        try:
            return getattr(self, "do_" + name)(who, *arguments)
        except Refusal as e:
            return str(e)

    def at(self, who, path):
        return self.walk(USERS[who], path)

    def parent(self, who, path):
        """The directory that something is to be made in or taken out of."""
        directory = self.at(who, path.rsplit("/", 1)[0]) if path.count("/") > 1 else Node("/")
        if not directory.is_directory():
            raise Refusal("ENOTDIR")
        if not self.access(directory).may(USERS[who], SEARCH):
            raise Refusal("EACCES")
        return directory, path.rsplit("/", 1)[1]

    def handle(self, who, slot):
        return self.slots.get((who, slot))

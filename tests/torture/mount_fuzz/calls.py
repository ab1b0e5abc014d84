"""Operations at random, of the kind that finds something: most of them make sense where the mount stands.

An operation is a tuple of literals, (caller, name, arguments...): what model.Mount's do_name() and the worker's
take. So a list of them is a script that can be kept, cut and run again.
"""

import texts
from gate import GROUP, GROUP_OBJ, MASK, NOBODY, OTHER, USER, USER_OBJ
from model import Mount
from tree import FILES, WORDS

CALLERS = ["root"] * 9 + ["also"] * 3 + ["mdm"] * 4 + ["desk"] * 2 + ["guest"] * 2
SLOTS = ["a", "b", "c"]
MODES = [0o777, 0o755, 0o750, 0o700, 0o711, 0o666, 0o664, 0o644, 0o660, 0o640, 0o600, 0o400, 0o440, 0o000, 0o4755]
UIDS, GIDS = [0, 1001, 1002], [0, 2001, 2002]
START = [  # or callers who aren't root would see nothing
    ("root", "chmod", "/devices", 0o777), ("root", "chmod", "/search", 0o755), ("root", "chmod", "/checkin", 0o666),
    ("root", "chmod", "/policy/device", 0o755), ("root", "chmod", "/policy/token", 0o664),
    ("root", "chmod", "/policy/security.json", 0o664),
]


class Calls:
    def __init__(self, dice, mount: Mount):
        self.dice, self.mount = dice, mount
        self.plans = {}  # what is still to be written to a slot
        self.next = list(START)

    def __iter__(self):
        return self

    def __next__(self):
        while not self.next:
            who = self.dice.choice(CALLERS)
            kinds = [self.on_slot] * 34 + [self.open] * 14 + [self.whole] * 22 + [self.come_and_go] * 9 + \
                    [self.access] * 12 + [self.look] * 24 + [self.truncate] * 3 + [self.not_done] * 3
            self.next = self.dice.choice(kinds)(who) or []
        return self.next.pop(0)

    # ---- names ----

    def name(self):
        """Of one device more often than of others, so that calls meet."""
        there = list(self.mount.devices)
        if there and self.dice.random() < 0.85:
            return there[0] if self.dice.random() < 0.4 else self.dice.choice(there)
        return self.dice.choice(texts.UDIDS + texts.OTHER_CASES)

    def file(self):
        return f"/devices/{self.name()}/" + self.dice.choice(["token", "token", "security.json", "bootstrap_status"])

    def piece(self, path):
        dice = self.dice
        if path == "/checkin":
            return texts.checkin_piece(dice, dice.choice(texts.UDIDS + texts.OTHER_CASES))
        udid = path.split("/")[2]
        if path.endswith("token"):
            device = self.mount.devices.get(udid)
            if device and device.current and dice.random() < 0.2:
                return texts.line(device.current.token)  # the same again
            return texts.token_piece(dice, udid)
        return texts.security_piece(dice, udid)

    def cut(self, text):
        """In up to four parts."""
        n = self.dice.choice([0, 0, 1, 2, 3])
        places = sorted(self.dice.randrange(len(text) + 1) for _ in range(n))
        parts = [text[a:b] for a, b in zip([0] + places, places + [len(text)])]
        return [part for part in parts if part]

    # ---- open files ----

    def open(self, who):
        dice = self.dice
        slot = dice.choice(SLOTS)
        if self.mount.handle(who, slot):
            return None
        path = dice.choice([self.file(), self.file(), "/checkin", dice.choice(["/audit", "/policy/token"])])
        flags = dice.choice(["r", "w", "w", "rw", "rw", "w,trunc", "r,trunc", "w,append", "rw,trunc"])
        self.plans[who, slot] = plan = self.piece(path) if path == "/checkin" or path.startswith("/devices") else b""
        if plan and dice.random() < 0.4:
            self.plans[who, slot] = b""
            return [(who, "open", slot, path, flags), (who, "write", slot, plan)]
        return [(who, "open", slot, path, flags)]

    def on_slot(self, who):
        dice = self.dice
        mine = [slot for caller, slot in self.mount.slots if caller == who]
        if not mine:
            return None
        slot = dice.choice(mine)
        handle = self.mount.handle(who, slot)
        plan = self.plans.get((who, slot), b"")
        roll = dice.random()
        if handle.node.file == "bootstrap_status" and roll < 0.7:
            return [(who, "pread", slot, 4096, dice.choice([0, 0, 4]))]
        if handle.writer and handle.writer.state == "done" and roll < 0.3:
            return self.between(handle) + [(who, "write", slot, b"x")]
        if roll < 0.45 and plan:
            part = self.cut(plan)[0]
            self.plans[who, slot] = plan[len(part):]
            return [(who, "write", slot, part)]
        if roll < 0.55:
            return [(who, "read", slot, dice.choice([5, 4096]))]
        if roll < 0.58:
            return [(who, "pread", slot, dice.choice([5, 4096]), dice.choice([0, 3, 9999]))]
        if roll < 0.68:
            other = dice.choice(SLOTS)
            return [(who, "dup", slot, other), (who, "close", other)]
        if roll < 0.72:
            return [(who, "write", slot, dice.choice([b" ", b"\n", b" \t\r\n"]))]
        if roll < 0.76:
            return self.rubbish(who, slot, handle)
        if roll < 0.80:
            written = handle.writer.written if handle.writer else 0
            return [(who, "ftruncate", slot, dice.choice([0, written, written, 7]))]
        if roll < 0.83:
            return [(who, "sendfile", slot)]
        if roll < 0.84:
            return [(who, "pwrite", slot, b"dG9r\n", dice.choice([0, 3, 4096]))]
        if roll < 0.87:
            other = dice.choice(SLOTS)
            self.plans[who, other] = plan
            return [(who, "dup", slot, other)]
        return [(who, "close", slot)]

    def between(self, handle):
        """What may come between a message and the bytes too many that take it back."""
        dice, device = self.dice, handle.node.device
        if handle.node.file != "token" or dice.random() < 0.4:
            return []
        token = device.current.token if device.current and dice.random() < 0.6 else dice.choice(texts.TOKENS)
        put = (dice.choice(["root", "mdm"]), "put", f"/devices/{device.name}/token", "w", [texts.line(token)])
        remove = ("root", "truncate", f"/devices/{device.name}/token", 0)
        return dice.choice([[put], [put], [remove], [put, remove], [remove, put]])

    def rubbish(self, who, slot, handle):
        if not handle.writer:
            return [(who, "write", slot, b"!")]
        text = handle.writer.text
        # Not in header lines, nor before the first <dict> of XML, where all sorts of things are read over.
        if handle.node.path == "/checkin" and texts.headers_end(text) != 0 or \
                texts.form(text) == "xml" and b"<dict>" not in text:
            return None
        return [(who, "write", slot, texts.spoil(text))]

    # ---- whole programs ----

    def whole(self, who):
        if self.dice.random() < 0.6:
            pieces = self.cut(self.piece("/checkin"))
            if self.dice.random() < 0.1:
                pieces.append(self.dice.choice([b"\n", b"<<"]))
            return [(who, "say", pieces)]
        path = f"/devices/{self.name()}/" + self.dice.choice(["token", "token", "security.json"])
        pieces = self.cut(self.piece(path))
        if self.dice.random() < 0.15:
            pieces.append(self.dice.choice([b"\n", b"x"]))
        put = [(who, "put", path, self.dice.choice(["w", "w,trunc", "rw"]), pieces)]
        return put * 2 if self.dice.random() < 0.1 else put

    def come_and_go(self, who):
        dice = self.dice
        if dice.random() < 0.55:
            name = dice.choice(texts.UDIDS * 3 + texts.OTHER_CASES + texts.BAD_NAMES)
            return [(who, "mkdir", f"/devices/{name}")]
        path = f"/devices/{self.name()}"
        remove = [(who, "truncate", path + "/token", 0)] if dice.random() < 0.5 else []
        return remove + [(who, "rmdir", path)]

    def truncate(self, who):
        path = self.dice.choice([self.file(), "/checkin", "/audit", "/policy/token"])
        return [(who, "truncate", path, self.dice.choice([0, 0, 0, 5]))]

    def not_done(self, who):
        name = self.dice.choice(["unlink", "rename", "create", "symlink", "mkdir", "rmdir", "utime"])
        path = self.dice.choice([self.file(), f"/devices/{self.name()}/new", "/new", "/search/udid/new",
                                 "/policy/device/new", "/devices/new.file", "/search/status"])
        return [(who, name, path)]

    # ---- owners, modes, ACLs ----

    def access(self, who):
        dice = self.dice
        device = f"/devices/{self.name()}"
        path = dice.choice([
            f"{device}/token", f"{device}/token", f"{device}/security.json", f"{device}/bootstrap_status", device,
            "/policy/" + dice.choice([file or "device" for file in FILES]), "/checkin", "/devices", "/search"])
        roll = dice.random()
        if roll < 0.5:
            mode = dice.choice(MODES)
            return [(who, "chmod", path, mode | 0o111 if path in ("/devices", device) and mode < 0o1000 and
                     dice.random() < 0.7 else mode)]
        if roll < 0.7:
            return [(who, "chown", path, *dice.choice([(dice.choice(UIDS), -1), (-1, dice.choice(GIDS)),
                                                       (dice.choice(UIDS), dice.choice(GIDS))]))]
        return [(who, "setacl", path, self.acl() if dice.random() < 0.8 else [])]

    def acl(self):
        dice = self.dice
        bits = lambda: dice.choice([0, 4, 6, 7, dice.randrange(8)])
        named = [(USER, bits(), i) for i in UIDS[1:] if dice.random() < 0.4]
        groups = [(GROUP, bits(), i) for i in GIDS[1:] if dice.random() < 0.4]
        mask = [(MASK, bits(), NOBODY)] if named or groups or dice.random() < 0.3 else []
        if dice.random() < 0.05:
            mask = []
        return [(USER_OBJ, bits(), NOBODY), *named, (GROUP_OBJ, bits(), NOBODY), *groups, *mask,
                (OTHER, bits(), NOBODY)]

    # ---- looking ----

    def look(self, who):
        dice = self.dice
        device = self.name()
        roll = dice.random()
        if roll < 0.5:
            return [(who, "cat", dice.choice([self.file(), self.file(), "/checkin", "/audit", "/policy/token"]))]
        if roll < 0.75:
            return [(who, "stat", dice.choice([self.file(), f"/devices/{device}", "/checkin", "/policy/token",
                                               f"/search/udid/{device}", "/devices"]))]
        if roll < 0.9:
            return [(who, "listdir", dice.choice([
                "/devices", f"/devices/{device}", "/search/udid", "/search/serialnumber", "/search/macaddress",
                "/search/deviceid", "/search/status", f"/search/status/{dice.choice(WORDS)}", "/", "/checkin"]))]
        return [(who, "readlink", dice.choice([
            f"/search/udid/{device.swapcase()}", f"/search/serialnumber/{dice.choice(texts.SERIALS).upper()}",
            f"/search/macaddress/{dice.choice(texts.MACS)}", f"/search/status/{dice.choice(WORDS)}/{device}",
            "/search/udid", f"/search/deviceid/{dice.randrange(255, 270)}"]))]

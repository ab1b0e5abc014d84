"""The contract, as far as the stress test goes: a device's name, what stands under it, and what each call does.

A call that the trail tells of is made on the model where the trail has it, by Device.make(): what it returns is
what the call should have got, and the lines that it should have left. A call that left no line changed nothing:
silent() says what it may have got from a state, and None where it should have left one.
"""

import base64
import collections

# What shows of a device at one moment, and what the next call depends on.
State = collections.namedtuple("State", "row word token current confirmed count tail given os approved serial "
                               "stale mode security_mode enrolled unenrolled renewal gone")
ABSENT = State(0, None, None, 0, False, 0, "", False, None, None, False, frozenset(), 0, 0, False, False, "", 0)

WANTED = {"base64": "EINVAL", "unlink": "EPERM", "truncate": "EINVAL", "status": "EPERM", "append": "EINVAL",
          "offset": "EINVAL", "recovery key": "EINVAL", "key": "EINVAL"}


def token_size(label):
    """Bytes of `token`."""
    if label is None:
        return 0
    token = label + "|" + "x" * int(label.rsplit("|", 1)[1])
    return len(base64.b64encode(token.encode())) + 1


def needs(os, approved):
    """What known facts deny: the word, or None."""
    if os is None:
        return None
    if os.startswith("10."):
        return "not_supported"
    return "not_eligible" if approved is False else None


class Version:
    def __init__(self, row, number, label):
        self.row, self.number, self.label = row, number, label
        self.ended, self.renewal, self.confirmed = "", "", False

    def letter(self):
        return {"": "-", "replaced": "r", "removed": "m", "undone": "u"}[self.ended]


class Device:
    """A name under /devices, and all that ever was under it."""

    def __init__(self):
        self.rows = self.row = 0  # made so far; the one that is there
        self.versions = []  # of all rows
        self.effects = {}  # what the calls did that may be taken back

    # ---- what is there ----

    def mine(self):
        return [v for v in self.versions if v.row == self.row]

    def current(self):
        last = [v for v in self.mine() if not v.ended]
        return last[0] if last else None

    def add_row(self):
        self.rows += 1
        self.row = self.rows
        self.enrolled = self.unenrolled = self.serial = False
        # A fact: its value; "?" as its state when it was known and isn't any more.
        self.facts = {"os": None, "approved": None}
        self.stale = set()
        self.mode, self.security_mode = 0o600, 0o640

    def word(self):
        current = self.current()
        if self.unenrolled:
            return "unenrolled"
        if current:
            return "stale" if current.renewal == "set up" else "escrowed"
        return needs(**self.facts) or "not_escrowed"

    def state(self):
        gone = sum(v.row != self.row for v in self.versions)
        if not self.row:
            return ABSENT._replace(gone=gone)
        current, mine = self.current(), self.mine()
        return State(self.row, self.word(), current.label if current else None, current.number if current else 0,
                     bool(current and current.confirmed), len(mine),
                     ",".join(f"{v.number}{v.letter()}" for v in mine[-8:]), bool(current) and not self.unenrolled,
                     self.facts["os"], self.facts["approved"], self.serial, frozenset(self.stale), self.mode,
                     self.security_mode, self.enrolled, self.unenrolled, current.renewal if current else "", gone)

    # ---- what calls do: the lines that they leave, and what they get ----

    def make(self, call):
        lines = []
        if not self.row and call.name in ("set", "authenticate", "update", "make"):
            self.add_row()
        elif call.name == "make" or not self.row and call.name != "get":
            return None, None
        does = getattr(self, "on_" + call.name.replace(" ", "_"), None)
        if not does:
            return None, None
        got = does(call, lines)
        return lines, "ok" if got is None else got

    def on_escrow(self, call, lines):
        if needs(**self.facts):
            return "EPERM"
        return self.put(call, lines)

    def put(self, call, lines):
        current = self.current()
        if current and current.label == call.argument:
            current.renewal, current.confirmed = "", True
            lines.append(("confirm", "ok", current.number))
            self.effects[call.who, call.number] = (self.row, None, None)
            return None
        replay = any(v.label == call.argument for v in self.mine())
        if current:
            current.ended = "replaced"
        number = max((v.number for v in self.versions), default=0) + 1
        added = Version(self.row, number, call.argument)
        self.versions.append(added)
        self.effects[call.who, call.number] = (self.row, added, current)
        lines.append(("escrow, a replay" if replay else "escrow", "ok", number))
        return None

    def on_set(self, call, lines):
        self.unenrolled = False
        doubted = set()
        while needs(**self.facts):
            fact = "os" if needs(**self.facts) == "not_supported" else "approved"
            doubted.add(fact)
            self.facts[fact] = None
        if doubted:
            self.stale |= doubted
            lines.append(("facts", "ok", 0))
        self.put(call, lines)

    def on_remove(self, call, lines):
        current = self.current()
        if current:
            current.ended = "removed"
            lines.append(("remove", "ok", current.number))

    def on_unset(self, call, lines):
        self.unenrolled = False
        self.on_remove(call, lines)

    def on_more(self, call, lines):
        """Takes back what another call did on the same descriptor."""
        row, added, ended = self.effects[call.who, int(call.argument)]
        current = self.current()
        if row == self.row and added and current is added and not added.confirmed:
            added.ended = "undone"
            if ended:
                ended.ended = ""
            lines.append(("undo", "ok", added.number))
        return "EINVAL"

    def on_read(self, call, lines):
        current = self.current()
        lines.append(("retrieve", "ok", current.number) if current else ("retrieve", "none", 0))
        return current.label if current else "none"

    on_deny = on_read

    def on_get(self, call, lines):
        if call.argument == "rw" and self.row and not self.unenrolled:
            return self.on_read(call, lines)
        lines.append(("retrieve", "none", 0))
        return "none" if call.argument == "rw" else "unread"

    # ---- enrolment and facts ----

    def report(self, fact, value):
        """True: that is news."""
        news = self.facts[fact] != value or fact in self.stale
        self.facts[fact] = value
        self.stale.discard(fact)
        return news

    def on_authenticate(self, call, lines):
        news = [self.report("os", call.argument), self.report("approved", None), not self.serial]
        self.serial = self.enrolled = True
        current = self.current()
        if current and not current.renewal:
            current.renewal = "authenticated"
        if any(news):
            lines.append(("facts", "ok", 0))
        lines.append(("enrol", "ok", 0))

    def on_update(self, call, lines):
        current = self.current()
        news = not self.enrolled or self.unenrolled
        self.enrolled, self.unenrolled = True, False
        if call.argument == "awaiting" and current and current.renewal == "authenticated":
            current.renewal = "set up"
            news = True
        if news:
            lines.append(("enrol", "ok", 0))

    def on_check_out(self, call, lines):
        if not self.unenrolled:
            self.unenrolled = True
            lines.append(("check out", "ok", 0))

    def on_facts(self, call, lines):
        fact, value = told_fact(call)
        if self.report(fact, value):
            lines.append(("facts", "ok", 0))

    # ---- devices and modes ----

    def on_make(self, call, lines):
        lines.append(("device", "ok", 0))

    def on_take_away(self, call, lines):
        if self.current():
            return "ENOTEMPTY"
        self.row = 0
        lines.append(("device", "ok", 0))
        return None

    def on_mode(self, call, lines):
        file, mode = call.argument.split()
        if file == "token":
            self.mode = int(mode, 8)
        else:
            self.security_mode = int(mode, 8)
        lines.append(("mode", "ok", 0))

    def on_acl(self, call, lines):
        if call.argument:
            self.mode = 0o640
        lines.append(("mode", "ok", 0))


def told_fact(call):
    fact, value = call.argument.split()
    if fact == "os":
        return fact, None if value == "?" else value
    return fact, value == "1"


def may_read(state):
    """A stranger of the token's group; or named by an ACL, whose mask is the group's bits."""
    return bool(state.mode & 0o040)


def silent(state, call, effects):
    """What a call gets that leaves no line; None: it leaves one, in this state."""
    name, absent = call.name, not state.row
    if name in ("set", "authenticate", "make") and absent or name in ("get", "mode", "acl") and not absent:
        return None
    if name == "make":
        return "EEXIST"
    if name == "check out":
        return "ok" if absent or state.unenrolled else None
    if name == "update":
        news = absent or not state.enrolled or state.unenrolled
        return None if news or call.argument == "awaiting" and state.renewal == "authenticated" else "ok"
    if name == "get":
        return None
    if name == "more":
        row, added, _ = effects[call.who, int(call.argument)]
        stands = added and row == state.row and state.current == added.number and not state.confirmed
        return None if stands else "ESTALE" if added and row != state.row else "EINVAL"
    if absent:
        return "ENOENT"
    if name == "escrow":
        return "EPERM" if needs(state.os, state.approved) else None
    if name in ("remove", "unset"):
        return None if state.token else "ok"
    if name == "facts":
        fact, value = told_fact(call)
        return "ok" if getattr(state, fact) == value and fact not in state.stale else None
    if name == "take away":
        return "ENOTEMPTY" if state.token else None
    if name == "deny":
        return None if may_read(state) else "EACCES"
    if name == "half":
        return "EINVAL"
    if name in ("refused", "refused counted"):
        return WANTED[call.argument]
    return None

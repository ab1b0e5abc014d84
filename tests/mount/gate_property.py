#!/usr/bin/python3
"""The gate as a property: whatever combination of mode, owner, group, ACL and directory mode stands on a
device's files, every caller gets the same verdict from every open, the same answer to every change, and the
same getfacl as on tmpfs.

    gate_property.py MOUNT TMPFS ROUNDS [SEED]

MOUNT is a mounted escrow, TMPFS an empty directory on a tmpfs. The twin of a file lies there under the same
name. Each round changes one thing on both, and then tries every caller on both.
"""

import errno
import os
import random
import struct
import subprocess
import sys
import time

mount, tmpfs, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int((sys.argv[4:] or ["1"])[0])
dice = random.Random(seed)

UIDS, GIDS = [0, 1001, 1002], [0, 2001, 2002]
CALLERS = [  # uid, gid, other groups
    (0, 0, []),
    (1001, 2001, []),
    (1001, 2003, [2002]),
    (1002, 2002, [2001]),
    (1003, 2003, []),
    (1003, 2001, [2002, 2003]),
    (1003, 2003, [0]),
]
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32


# ---- callers: a process each, so that none carries another's rights ----

def do(what, path, *rest):
    """Does one thing; says `ok` or the errno's name."""
    try:
        if what == "open":
            os.close(os.open(path, *rest))
        elif what == "list":
            os.listdir(path)
        else:
            getattr(os, what)(path, *rest)
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]


class Caller:
    def __init__(self, uid, gid, groups):
        self.name = f"uid {uid} gid {gid} groups {groups}"
        ask, self.ask = os.pipe()
        self.answer, answer = os.pipe()
        if os.fork() == 0:
            os.close(self.ask)
            os.close(self.answer)
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with os.fdopen(ask) as asked, os.fdopen(answer, "w") as to:
                for line in asked:
                    to.write(do(*eval(line)) + "\n")
                    to.flush()
            os._exit(0)
        os.close(ask)
        os.close(answer)
        self.ask, self.answer = os.fdopen(self.ask, "w"), os.fdopen(self.answer)

    def __call__(self, *what):
        self.ask.write(repr(what) + "\n")
        self.ask.flush()
        return self.answer.readline().strip()


# ---- ACLs, as the kernel takes them ----

def acl(entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


def random_acl():
    """Mostly a valid one, at times one that no filesystem takes."""
    nobody = 0xFFFFFFFF
    named = [(USER, dice.randrange(8), u) for u in dice.sample(UIDS[1:], dice.randrange(3))]
    groups = [(GROUP, dice.randrange(8), g) for g in dice.sample(GIDS[1:], dice.randrange(3))]
    entries = [(USER_OBJ, dice.randrange(8), nobody), *sorted(named, key=lambda e: e[2]),
               (GROUP_OBJ, dice.randrange(8), nobody), *sorted(groups, key=lambda e: e[2])]
    if named or groups or dice.random() < 0.3:
        entries.append((MASK, dice.randrange(8), nobody))
    entries.append((OTHER, dice.randrange(8), nobody))
    if dice.random() < 0.08:
        del entries[dice.randrange(len(entries))]
    if dice.random() < 0.03:
        dice.shuffle(entries)
    return acl(entries)


def random_change(is_directory):
    roll = dice.random()
    if roll < 0.35:
        return "chmod", dice.randrange(0o1000)
    if roll < 0.55:
        return "chown", dice.choice(UIDS + [-1]), dice.choice(GIDS + [-1])
    if roll < 0.85:
        return "setxattr", ACCESS, random_acl()
    if roll < 0.93:
        return "removexattr", ACCESS
    return ("setxattr", DEFAULT, random_acl()) if dice.random() < 0.7 else ("removexattr", DEFAULT)


# ---- what must be equal ----

def attribute(path, name):
    try:
        return os.getxattr(path, name)
    except OSError as e:
        return errno.errorcode[e.errno]


def rights(path):
    attr = os.stat(path)
    return oct(attr.st_mode), attr.st_uid, attr.st_gid, attribute(path, ACCESS), attribute(path, DEFAULT)


def getfacl(directory, names):
    return subprocess.run(["getfacl", "-n", "."] + names, cwd=directory, check=True, stdout=subprocess.PIPE).stdout


def fail(round_number, *words):
    sys.exit(f"seed {seed}, round {round_number}: " + ", ".join(str(w) for w in words))


def compare(round_number, caller, at_once, *what):
    """The same on both. Where a second may pass, it is given two."""
    here, there = what[1]
    want = caller(what[0], there, *what[2:])
    deadline = time.monotonic() + (0 if at_once else 2)
    while True:
        got = caller(what[0], here, *what[2:])
        # At once is promised for what is taken away; what is given may come a moment later.
        if got == want:
            return got
        if time.monotonic() > max(deadline, started[0] + (2 if want == "ok" else 0)):
            fail(round_number, caller.name, what, f"the mount says {got}, tmpfs {want}", rights(here), rights(there))
        time.sleep(0.01)


started = [0.0]


def main():
    callers = [Caller(*c) for c in CALLERS]
    here, there = f"{mount}/devices/GATE", f"{tmpfs}/GATE"
    os.mkdir(here)
    os.mkdir(there)
    for name in "token", "security.json":
        with open(f"{there}/{name}", "w"):
            pass
    for path in (f"{mount}/devices", tmpfs):
        os.chmod(path, 0o755)
    both = {name: (f"{here}/{name}".rstrip("/"), f"{there}/{name}".rstrip("/"))
            for name in ("", "token", "security.json")}
    for pair in both.values():
        for path in pair:
            os.chown(path, 1001, 2001)
            os.chmod(path, 0o750)
    verdicts, changes = {}, {}
    for n in range(rounds):
        # Root makes most changes; the others try, and mostly may not.
        name = dice.choice(["", "token", "token", "security.json"])
        caller = callers[0] if dice.random() < 0.7 else dice.choice(callers)
        change = random_change(name == "")
        started[0] = time.monotonic()
        answer = compare(n, caller, True, change[0], both[name], *change[1:])
        changes[change[0], answer] = changes.get((change[0], answer), 0) + 1
        for name, pair in both.items():
            if rights(pair[0]) != rights(pair[1]):
                fail(n, change, name or "the directory", "mode, owner or ACL differ", *map(rights, pair))
        for caller in callers:
            for name in "token", "security.json":
                for flags in os.O_RDONLY, os.O_WRONLY, os.O_RDWR:
                    verdict = compare(n, caller, name == "token", "open", both[name], flags)
                    verdicts[verdict] = verdicts.get(verdict, 0) + 1
            compare(n, caller, False, "list", both[""])
        if n % 100 == 0:
            texts = [getfacl(d, ["token", "security.json"]) for d in (here, there)]
            if texts[0] != texts[1]:
                fail(n, "getfacl differs", *texts)
    print(f"{rounds} changes; verdicts of open: {verdicts}; answers to changes: {changes}")
    # Both ways were tried, or this says nothing.
    assert verdicts.get("ok", 0) > rounds and verdicts.get("EACCES", 0) > rounds, verdicts
    assert changes.get(("chmod", "EPERM")) and changes.get(("setxattr", "EINVAL")), changes


main()

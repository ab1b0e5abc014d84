"""One run: a fresh store, a mount, the operations on it and on the model, and what is there in the end."""

import json
import os
import subprocess
import time

import model
import tree
import workers
from gate import acl_bytes

# What a change may take to be seen everywhere: a second is promised, where nothing is promised at once.
SEEN_WITHIN = 5
LOOKS = ("stat", "listdir", "readlink")


class Mismatch(Exception):
    """kind: what differed, so that a run that is cut down still shows the same."""

    def __init__(self, sentence, kind="the end"):
        super().__init__(sentence)
        self.kind = kind


class Run:
    def __init__(self, program, directory):
        self.program, self.store, self.mount = program, directory + "/store", directory + "/mnt"
        os.mkdir(self.mount)
        self.program_does("init", "--no-recovery", self.store)
        self.model = model.Mount()
        self.workers = {}
        self.counts = {}
        self.begin()

    def program_does(self, *arguments):
        done = subprocess.run([self.program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Mismatch(f"escrowfs {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def begin(self):
        # (The daemon would keep a pipe open.)
        subprocess.run([self.program, "mount", self.store, self.mount, "-o", "allow_other"], check=True)
        self.workers = {who: workers.Worker(who, self.mount) for who in tree.USERS}

    def end(self):
        for worker in self.workers.values():
            worker.end()
        self.workers = {}
        subprocess.run(["umount", self.mount], check=False, stderr=subprocess.DEVNULL)
        for _ in range(600):
            if "nobody" in subprocess.run([self.program, "status", self.store], stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL, text=True, check=False).stdout:
                return
            time.sleep(0.05)
        raise Mismatch("the daemon doesn't let go of the store")

    # ---- operations ----

    def make(self, operation):
        who, name, *arguments = operation
        wanted = self.model.call(who, name, *arguments)
        if wanted is tree.NOT_DONE:
            return
        if name == "setacl":
            arguments[1] = acl_bytes(arguments[1]) if arguments[1] else b""
        got = self.call(wanted, who, name, *arguments)
        wrong = difference(wanted, got)
        outcome = got if isinstance(got, str) and name != "readlink" else "ok"
        self.counts[name, outcome] = self.counts.get((name, outcome), 0) + 1
        if wrong:
            raise Mismatch(f"{operation!r}\n    returned {shortly(got)}\n    {wrong}", name)
        if isinstance(wanted, tree.Check) and isinstance(got, bytes):
            wanted.after(got)
        if name in ("chmod", "chown", "setacl") and arguments[0].startswith("/policy/") and wanted is None:
            self.wait_for_policy()

    def call(self, wanted, who, name, *arguments):
        deadline = time.monotonic() + SEEN_WITHIN
        while True:
            got = self.workers[who].call(name, *arguments)
            if name not in LOOKS or not difference(wanted, got) or time.monotonic() > deadline:
                return got
            time.sleep(0.02)

    def wait_for_policy(self):
        for device in self.model.devices:
            for file in tree.FILES:
                path = f"/devices/{device}/{file}".rstrip("/")
                wanted = self.model.do_stat("root", path)
                got = self.call(wanted, "root", "stat", path)
                if got != wanted:
                    raise Mismatch(f"stat {path} after a policy changed\n    returned {got}\n    not {wanted}")

    # ---- what is there in the end ----

    def look_at_all(self):
        for path in ["/devices", "/search/udid", "/search/serialnumber", "/search/macaddress", "/search/deviceid"] + \
                [f"/search/status/{word}" for word in tree.WORDS]:
            self.make(("root", "listdir", path))
        for device in self.model.devices:
            for file in tree.FILES:
                self.make(("root", "stat", f"/devices/{device}/{file}".rstrip("/")))
            for file in ("bootstrap_status", "token", "security.json"):
                self.make(("root", "cat", f"/devices/{device}/{file}"))
            self.look_at_size(device)
        for path in tree.TREE:
            if path != "/":
                self.make(("root", "stat", path))
        self.look_at_trail()

    def look_at_size(self, device):
        path = f"{self.mount}/devices/{device}/security.json"
        with open(path, "rb") as file:
            text = file.read()
        if os.stat(path).st_size != len(text):
            raise Mismatch(f"{path} has {len(text)} bytes, and stat(2) says {os.stat(path).st_size}")

    def look_at_trail(self):
        told = ("refuse", "mount", "unmount", "init")
        with open(self.mount + "/audit", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        trail = [(line["action"], line["outcome"], line.get("udid"), line.get("version", 0)) for line in lines
                 if line["action"] not in told]
        for n, (is_there, should) in enumerate(zip(trail + [None], self.model.trail + [None])):
            if is_there != should:
                raise Mismatch(f"event {n} of the trail is {is_there}, and should be {should}")

    def finish(self):
        for who, slot in list(self.model.slots):
            self.make((who, "close", slot))
        self.look_at_all()
        self.end()
        found = self.program_does("verify", self.store)
        if "nothing is wrong" not in found:
            raise Mismatch(f"escrowfs verify: {found}")
        self.begin()
        self.look_at_all()


def difference(wanted, got):
    """A sentence, or None."""
    if isinstance(wanted, tree.Check):
        return wanted.look(got)
    return None if got == wanted else f"should be {shortly(wanted)}"


def shortly(what):
    text = repr(what)
    return text if len(text) < 400 else f"{text[:300]}... ({len(text)} characters)"

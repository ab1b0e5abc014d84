"""A disk that fails: every operation on it, one at a time, while every kind of call is made; and by chance, under load.

What is refused says the errno that the contract names, and has changed nothing; what was handed out is on the trail; and
once the disk is well again everything goes on by itself, in the same daemon."""

import base64
import errno
import json
import os
import re
import time

import clients
from disk import FOR_EVER, READ, SYNC, TRUNCATE, WRITE, Disk

NAMES = {READ: "read", WRITE: "write", SYNC: "sync", WRITE | SYNC | TRUNCATE: "write, sync and truncate"}
CHANGING = [(WRITE, errno.ENOSPC), (WRITE, errno.EIO), (WRITE, errno.EROFS), (SYNC, errno.EIO), (SYNC, errno.ENOSPC)]


class Calls:
    """One of each kind, by name. A call returns what it was given, or raises OSError."""

    def __init__(self, world):
        self.world, self.n = world, 0
        self.token = f"{world.mount_point}/devices/ONE/token"
        self.kinds = {"escrow": self.escrow, "retrieve": self.retrieve, "set": self.set, "get": self.get,
                      "facts": self.facts, "mkdir": self.mkdir, "chmod": self.chmod, "remove": self.remove}

    def path(self, name):
        return f"{self.world.mount_point}/devices/ONE/{name}"

    def next_token(self):
        self.n += 1
        return clients.token_of("ONE", "w", self.n)

    @staticmethod
    def write(path, data, flags=os.O_WRONLY):
        fd = os.open(path, flags)
        try:
            os.write(fd, data)
        finally:
            clients.close(fd)

    def escrow(self):
        token = self.next_token()
        self.write(self.token, base64.b64encode(token) + b"\n")
        return token

    def set(self):
        token = self.next_token()
        self.write(f"{self.world.mount_point}/checkin", clients.message("SetBootstrapToken", "ONE", token), os.O_RDWR)
        return token

    def retrieve(self):
        fd = os.open(self.token, os.O_RDONLY)
        try:
            return base64.b64decode(os.read(fd, 70000))
        finally:
            clients.close(fd)

    def get(self):
        fd = os.open(f"{self.world.mount_point}/checkin", os.O_RDWR)
        try:
            os.write(fd, clients.message("GetBootstrapToken", "ONE"))
            reply = os.read(fd, 1 << 20)
        finally:
            clients.close(fd)
        return base64.b64decode(re.search(rb"<data>(.*?)</data>", reply, re.S)[1])

    def facts(self):
        self.n += 1
        self.write(self.path("security.json"), b'{"OSVersion": "14.%d"}' % self.n)

    def mkdir(self):
        self.n += 1
        os.mkdir(f"{self.world.mount_point}/devices/D-{self.n}")

    def chmod(self):
        self.n += 1
        os.chmod(self.path("security.json"), 0o600 | self.n % 2 << 5)

    def remove(self):
        os.truncate(self.token, 0)

    # ---- what there is ----

    def trail(self):
        with open(f"{self.world.mount_point}/audit", "rb", buffering=0) as file:
            return [json.loads(line) for line in file.read().splitlines()]

    def look(self):
        """All that these calls change, and no retrieval."""
        with open(self.path("security.json"), encoding="utf-8") as file:
            about = json.load(file)
        about["Escrow"].pop("RetrievedAt", None)
        return (about, os.stat(self.path("security.json")).st_mode, os.stat(self.token).st_size,
                sorted(os.listdir(f"{self.world.mount_point}/devices")))


class Failing:
    def __init__(self, world, counts, dice):
        self.world, self.counts, self.dice = world, counts, dice
        self.disk = None

    def start(self):
        self.world.init()
        self.disk = Disk(f"{self.world.directory}/disk")
        self.world.mount(self.disk.env)
        self.world.make_devices()
        self.pid = self.world.daemon()

    def is_alive(self, after):
        if self.world.is_dead(self.pid):
            self.counts.found("crashes", f"the daemon ended after {after}")
            self.world.mount(self.disk.env)
            self.pid = self.world.daemon()

    def recorded(self, calls, outcome="ok"):
        return len([e for e in calls.trail() if e["action"] == "retrieve" and e["outcome"] == outcome])

    # ---- one at a time ----

    def call(self, calls, kind, operation, error, passing, times):
        """True: the fault wasn't reached: no later one will be."""
        what = f"{kind}, {NAMES[operation]} number {passing + 1} fails with {errno.errorcode[error]}"
        if kind in ("retrieve", "get", "remove") and not os.stat(calls.token).st_size:
            calls.set()
        before, recorded = calls.look(), self.recorded(calls)
        faults = self.disk["failed"]
        self.disk.fail(operation, error, passing, times)
        failed, given = 0, None
        try:
            given = calls.kinds[kind]()
        except OSError as refused:
            failed = refused.errno
        self.disk.heal()
        self.is_alive(what)
        reached = self.disk["failed"] > faults
        self.counts["faults injected"] += self.disk["failed"] - faults
        if failed and failed != error:
            self.counts.found("failed", f"{what}: {errno.errorcode.get(failed, failed)}")
        if failed and not reached:
            self.counts.found("failed", f"{what}: it was refused without a fault")
        if failed and calls.look() != before:
            self.counts.found("failed", f"{what}: refused, and yet something changed")
        if kind in ("retrieve", "get") and not failed and self.recorded(calls) != recorded + 1:
            self.counts.found("unrecorded retrievals", what)
        if kind in ("escrow", "set") and not failed and calls.retrieve() != given:
            self.counts.found("tokens lost", what)
        return not reached

    def every_one(self, kind, operation, error, times):
        """The first, the second, ... of them, until the call is done before it fails."""
        calls = self.calls
        for passing in range(200):
            if self.call(calls, kind, operation, error, passing, times):
                return
        self.counts.found("failed", f"{kind}: it never ends")

    def changes(self):
        self.calls = Calls(self.world)
        self.calls.set()
        for kind in self.calls.kinds:
            for operation, error in CHANGING:
                for times in 1, FOR_EVER:
                    self.every_one(kind, operation, error, times)
            print(f"  {kind}", flush=True)
        self.and_all_is_well()

    def and_all_is_well(self):
        """The same daemon, without any help."""
        for kind, call in self.calls.kinds.items():
            try:
                call()
            except OSError as error:
                self.counts.found("failed", f"the disk is well, and {kind} says {error}")
            if kind == "remove":
                self.calls.set()
        status, said = self.world.run("verify", self.world.store, check=False)
        if status != 0:
            self.counts.found("failed", f"verify: {said}")

    # ---- reads ----

    def reads(self):
        """What isn't in memory can't be read: EIO, or what is right. Each with cold caches."""
        calls = self.calls
        if not os.stat(calls.token).st_size:
            calls.set()
        looks = {"retrieve": calls.retrieve, "get": calls.get, "look": calls.look, "trail": calls.trail,
                 "metrics": lambda: open(f"{self.world.mount_point}/metrics", "rb").read() and None,
                 "search": lambda: sorted(os.listdir(f"{self.world.mount_point}/search/status/escrowed"))}
        right = {name: look() for name, look in looks.items()}
        faults, kinds = self.disk["failed"], list(looks)
        for passing in range(40):
            self.world.unmount()
            self.world.mount(self.disk.env)
            self.pid = self.world.daemon()
            name = kinds[passing % len(kinds)]
            self.disk.fail(READ, errno.EIO, passing // len(kinds), 1 + passing % 2)
            try:
                is_right = name == "trail" or looks[name]() == right[name]
                if not is_right:
                    self.counts.found("failed", f"{name} with an unreadable disk: something else")
            except OSError as error:
                if error.errno != errno.EIO:
                    self.counts.found("failed", f"{name} with an unreadable disk: {error}")
            self.disk.heal()
            self.is_alive("a read that failed")
            if name != "trail" and looks[name]() != right[name]:
                self.counts.found("failed", f"{name}: it isn't well again")
        reached = self.disk["failed"] - faults
        self.counts["faults injected"] += reached
        if reached < 10:
            self.counts.found("points not reached", f"reads that fail: {reached}")
        print("  reads", flush=True)

    # ---- under load ----

    def by_chance(self, seconds):
        world, disk = self.world, self.disk
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            faults = disk["failed"]
            pids = world.start_load()
            round_ends = time.monotonic() + 1
            while time.monotonic() < round_ends:
                operation, error = self.dice.choice(CHANGING + [(READ, errno.EIO)])
                disk.fail(operation, error, self.dice.randrange(60), self.dice.choice([1, 3, FOR_EVER]))
                time.sleep(self.dice.random() * 0.1)
                disk.heal()
                time.sleep(self.dice.random() * 0.1)
            world.stop_load(pids, ["EIO", "ENOSPC", "EROFS", "EAGAIN"])
            self.counts["faults injected"] += disk["failed"] - faults
            self.is_alive("faults under load")
            world.check()
        print("  by chance, under load", flush=True)

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.start()
        self.changes()
        self.reads()
        self.by_chance(max(4, end - time.monotonic()))
        self.world.unmount()
        self.world.mount()
        self.world.check()
        self.world.unmount()
        self.world.end()

"""A store, its mount, and what is known of both from outside: which tokens were acknowledged, which attempted, which
retrievals gave bytes. check() holds what is there against it."""

import base64
import collections
import json
import os
import shutil
import signal
import subprocess
import time

import clients

WRITERS, READERS = 6, 3


class Counts(collections.Counter):
    """What `make torture` prints."""

    def __init__(self):
        super().__init__()
        self.findings = []

    def found(self, what, sentence):
        self[what] += 1
        self.findings.append(f"{what}: {sentence}")
        print(f"    {what}: {sentence}", flush=True)


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class World:
    def __init__(self, escrowfs, directory, counts, seed):
        self.escrowfs, self.directory, self.counts, self.seed = escrowfs, directory, counts, seed
        self.store, self.mount_point = f"{directory}/store", f"{directory}/mnt"
        self.diaries = f"{directory}/diaries"
        os.makedirs(self.mount_point, exist_ok=True)
        self.serial = self.rounds = 0
        # by UDID: what it had when it was last looked at; since then, what was acknowledged and what isn't certain,
        # as (WRITER, SERIAL), serial 0 for a removal
        self.versions = collections.Counter()
        self.had = {}
        self.acked = collections.defaultdict(list)
        self.open_ends = collections.defaultdict(list)
        self.got = collections.Counter()
        self.trail_seen = 0
        self.recorded = collections.Counter()

    # ---- the program ----

    def run(self, *arguments, env=None, check=True, patience=300):
        process = subprocess.run([self.escrowfs, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                 env={**os.environ, **(env or {})}, timeout=patience)
        said = (process.stdout + process.stderr).decode(errors="replace")
        if check and process.returncode != 0:
            self.counts.found("failed", f"escrowfs {' '.join(arguments)}: status {process.returncode}: {said}")
        return process.returncode, said

    def init(self):
        self.run("init", self.store)

    def mount(self, env=None, check=True):
        return self.run("mount", self.store, self.mount_point, env=env, check=check)

    def until_mounted(self, process):
        """False: it ended before."""
        wait_until(lambda: process.poll() is not None or os.path.ismount(self.mount_point))
        return process.poll() is None

    def daemon(self):
        with open(f"{self.store}/lock", encoding="ascii") as file:
            words = file.read().replace(",", " ").split()
        return int(words[1]) if len(words) > 1 else 0

    @staticmethod
    def is_dead(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def unmount(self):
        pid = self.daemon()
        for _ in range(100):
            if subprocess.run(["umount", self.mount_point], capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        else:
            subprocess.run(["umount", "-l", self.mount_point], check=False)
        if pid and not wait_until(lambda: self.is_dead(pid)):
            self.counts.found("failed", "the daemon didn't end when it was unmounted")

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        wait_until(lambda: self.is_dead(pid))

    def end(self):
        while subprocess.run(["umount", "-l", self.mount_point], capture_output=True).returncode == 0:
            pass
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- load ----

    def make_devices(self):
        """A device that writes by its file has to be there."""
        for udid in ["CROWD"] + [f"W-{n}-{i}" for n in range(WRITERS) for i in range(2)]:
            path = f"{self.mount_point}/devices/{udid}"
            if not os.path.isdir(path):
                os.mkdir(path)

    def start_load(self):
        shutil.rmtree(self.diaries, ignore_errors=True)
        os.mkdir(self.diaries)
        self.rounds += 1
        return clients.start(self.mount_point, self.diaries, WRITERS, READERS, self.serial,
                             self.seed + self.rounds)

    def end_load(self, pids, refusals=()):
        """Waits for the clients, whose mount is gone, and takes down what they did. `refusals`: errnos that may be."""
        for pid in pids:
            os.waitpid(pid, 0)
        self.take_down(refusals)

    def stop_load(self, pids, refusals=()):
        """The mount stays."""
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        self.end_load(pids, refusals)

    def take_down(self, refusals=()):
        for name in os.listdir(self.diaries):
            with open(f"{self.diaries}/{name}", encoding="ascii") as diary:
                self.take_down_one(diary, refusals)
        self.serial += 100000

    def take_down_one(self, diary, refusals):
        tried = None
        for line in diary:
            what, udid, *rest = line.split()
            if what == "try":
                tried = udid, (rest[0], int(rest[1]))
                continue
            if what == "ack":
                self.acked[udid].append((rest[0], int(rest[1])))
                self.counts["writes acknowledged"] += 1
            elif what == "got":
                self.got[rest[0], udid] += 1
                self.counts["retrievals"] += 1
            elif what == "half":
                self.counts.found("tokens half", line)
            elif rest[-1] not in refusals:
                self.counts.found("failed", f"unexpected: {line}")
            else:
                self.counts["refusals"] += 1
            tried = None
        if tried:
            self.open_ends[tried[0]].append(tried[1])

    # ---- what is there ----

    def check(self):
        """The store is mounted. What was uncertain is settled afterwards."""
        self.check_trail()
        for udid in sorted(set(self.acked) | set(self.open_ends)):
            self.check_device(udid)
        status, said = self.run("verify", self.store, check=False)
        if status != 0 or "nothing is wrong" not in said:
            self.counts.found("failed", f"verify: {said}")
        self.counts["checks"] += 1

    def current(self, udid):
        """(WRITER, SERIAL) of the token that is there, serial 0: none."""
        try:
            with open(f"{self.mount_point}/devices/{udid}/token", "rb", buffering=0) as file:
                line = file.read()
        except OSError as error:
            self.counts.found("tokens lost", f"{udid}: its token can't be read: {error}")
            return "", 0
        if not line:
            return "", 0
        whose = clients.read_token(base64.b64decode(line))
        if not whose or whose[0] != udid:
            self.counts.found("tokens half", f"{udid}: {line[:60]}")
            return "", 0
        return whose[1], whose[2]

    def check_device(self, udid):
        acked, ends = self.acked.pop(udid, []), self.open_ends.pop(udid, [])
        current = self.current(udid)
        # Each writer's last word, or one whose verdict was cut off.
        last = dict(acked).items() if acked else [self.had.get(udid, ("", 0))]
        allowed = {(writer, serial) if serial else ("", 0) for writer, serial in [*last, *ends]}
        if current not in allowed:
            self.counts.found("tokens lost", f"{udid} has {current}, and not one of {allowed}")
        with open(f"{self.mount_point}/devices/{udid}/security.json", encoding="utf-8") as file:
            versions = len(json.load(file)["Escrow"].get("Versions", []))
        least = self.versions[udid] + len([serial for _, serial in acked if serial])
        most = least + len([serial for _, serial in ends if serial])
        if not least <= versions <= most:
            self.counts.found("tokens lost", f"{udid} has {versions} versions, and not {least} to {most}")
        self.versions[udid], self.had[udid] = versions, current

    def check_trail(self):
        with open(f"{self.mount_point}/audit", "rb", buffering=0) as file:
            file.seek(self.trail_seen)
            text = file.read()
        self.trail_seen += len(text)
        for line in text.splitlines():
            event = json.loads(line)
            if event["action"] == "retrieve" and event["outcome"] == "ok":
                self.recorded[str(event["pid"]), event["udid"]] += 1
        for (pid, udid), times in list(self.got.items()):
            missing = times - self.recorded[pid, udid]
            if missing > 0:
                self.got[pid, udid] -= missing
                self.counts.found("unrecorded retrievals", f"process {pid} got {udid}'s token {times} times, of which "
                                                           f"{missing} are not on the trail")

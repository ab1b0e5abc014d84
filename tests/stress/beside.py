#!/usr/bin/python3
"""Runs the stress test's load, and what other processes do with the store meanwhile.

    beside.py ESCROWFS STORE MOUNT DIARIES SECONDS SEED -- STRESS...

Until STRESS ends: messages are imported into the store, some for devices that the clients use; its status is asked
for; a sealed mount is made, looked through and unmounted. What came of it is noted in DIARIES/beside, a JSON object a
line, for judge.py. Exits as STRESS does.
"""

import json
import os
import plistlib
import random
import re
import shutil
import subprocess
import sys
import time

# For the last call of a client: not how fast it should be, but when to stop waiting.
PATIENCE = 300
STEADY = [f"S-{n}" for n in range(12)] + [f"I-{n}" for n in range(4)]


def run(*command):
    """A command that must succeed: its number, what it says, and what went wrong."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=300)
    failed = "" if process.returncode == 0 else f"exit status {process.returncode}: {err.decode(errors='replace')}"
    return process.pid, out.decode(), failed


class Beside:
    def __init__(self, escrowfs, store, mount, diaries, seed):
        self.escrowfs, self.store, self.mount, self.diaries = escrowfs, store, mount, diaries
        self.dice = random.Random(int(seed))
        self.notes = open(os.path.join(diaries, "beside"), "w", encoding="ascii")
        self.sealed_at = os.path.join(diaries, "sealed")
        os.mkdir(self.sealed_at)
        self.round = 0

    def note(self, what, pid, failed, **more):
        json.dump({"what": what, "pid": pid, "failed": failed, **more}, self.notes)
        self.notes.write("\n")

    # ---- one of each ----

    def import_messages(self):
        """A token for some devices each, as a directory of messages, binary ones among them."""
        directory = os.path.join(self.diaries, "messages")
        os.mkdir(directory)
        messages = {}
        for device in self.dice.sample(STEADY, 6):
            label = f"{device}|99.{self.round}|{self.dice.randrange(60)}"
            messages[device] = label
            token = (label + "|" + "x" * int(label.rsplit("|", 1)[1])).encode()
            with open(os.path.join(directory, device + ".plist"), "wb") as file:
                plistlib.dump({"MessageType": "SetBootstrapToken", "UDID": device, "BootstrapToken": token}, file,
                              fmt=self.dice.choice([plistlib.FMT_XML, plistlib.FMT_BINARY]))
        begin = time.monotonic_ns()
        pid, _, failed = run(self.escrowfs, "import", self.store, directory)
        self.note("import", pid, failed, begin=begin, end=time.monotonic_ns(), messages=messages)
        shutil.rmtree(directory)

    def status(self):
        pid, out, failed = run(self.escrowfs, "status", self.store)
        words = {word: int(n) for word, n in re.findall(r"^  (\w+) +(\d+)$", out, re.M) if int(n)}
        checkpoint = re.search(r"^checkpoint  (\d+):", out, re.M)
        self.note("status", pid, failed, words=words, seq=int(checkpoint[1]) if checkpoint else 0)

    def open_seal(self, device):
        """The label of the token that a sealed mount's `token` holds, by stock OpenSSL."""
        with open(f"{self.sealed_at}/devices/{device}/token", "rb") as file:
            pem = file.read()
        if not pem:
            return None
        text = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "PEM", "-inkey", self.store + ".key.pem"],
                              input=pem, stdout=subprocess.PIPE, check=True).stdout
        return plistlib.loads(text)["BootstrapToken"].decode().rsplit("|", 1)[0]

    def look_through(self):
        """Each device's word, whether it has a token, and how many versions are past: of those there, and of those
        taken away."""
        root, devices = self.sealed_at, {}
        for name in os.listdir(f"{root}/devices"):
            with open(f"{root}/devices/{name}/bootstrap_status", encoding="ascii") as file:
                word = file.read().rstrip("\n")
            devices[name] = {"word": word, "token": os.stat(f"{root}/devices/{name}/token").st_size > 0,
                             "history": len(os.listdir(f"{root}/devices/{name}/history")), "removed": 0}
        for name in os.listdir(f"{root}/removed"):
            devices.setdefault(name, {"word": None, "token": False, "history": 0})["removed"] = len(
                os.listdir(f"{root}/removed/{name}/history"))
        return devices

    def sealed(self):
        pid, _, failed = run(self.escrowfs, "mount", self.store, self.sealed_at, "-o", "sealed")
        if failed:
            self.note("sealed", pid, failed)
            return
        try:
            with open(f"{self.sealed_at}/audit", "rb") as file:
                seq = json.loads(file.read().splitlines()[-1])["seq"]
            devices = self.look_through()
            opened = {name: self.open_seal(name) for name in self.dice.sample(sorted(devices), 4)
                      if devices[name]["word"]}
            self.note("sealed", pid, "", seq=seq, devices=devices, opened=opened)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.note("sealed", pid, f"can't be looked through: {error}")
        finally:
            subprocess.run(["umount", self.sealed_at], check=True)

    def until_ended(self, load, seconds):
        deadline = time.monotonic() + seconds + PATIENCE
        while load.poll() is None:
            if time.monotonic() > deadline:
                stuck = subprocess.run(["pgrep", "-lP", str(load.pid)], stdout=subprocess.PIPE, check=False).stdout
                sys.exit(f"these clients don't end; each is named after itself and its call:\n{stuck.decode()}")
            (self.import_messages, self.status, self.import_messages, self.sealed)[self.round % 4]()
            self.round += 1
            time.sleep(0.1)
        self.notes.close()


def main():
    escrowfs, store, mount, diaries, seconds, seed = sys.argv[1:7]
    load = subprocess.Popen([*sys.argv[8:], mount, diaries, seconds, seed])
    try:
        Beside(escrowfs, store, mount, diaries, seed).until_ended(load, int(seconds))
    finally:
        load.kill()
    sys.exit(load.wait())


if __name__ == "__main__":
    main()

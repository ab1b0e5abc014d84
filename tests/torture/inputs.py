"""Hostile input: random calls on a mount, held against a model (mount_fuzz), and the fuzz targets of each parser
(tests/fuzz), all of them for their share of the time."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TARGETS = f"{TOP}/build/fuzzing/fuzz"
LEAST = 2  # seconds


class Inputs:
    def __init__(self, escrowfs, directory, counts, dice):
        self.escrowfs, self.directory, self.counts, self.dice = escrowfs, directory, counts, dice
        os.makedirs(directory, exist_ok=True)

    def tell(self, name, said, kind):
        """The whole of what was said is in a file; here is where it ends."""
        path = f"{self.directory}/{name}.log"
        with open(path, "w", encoding="utf-8") as log:
            log.write(said)
        self.counts.found(kind, f"{name}: " + " / ".join(said.strip().splitlines()[-12:]))

    def calls(self, seconds):
        os.chmod(self.directory, 0o755)
        os.chmod(os.path.dirname(self.directory), 0o755)
        done = subprocess.run(
            [sys.executable, f"{HERE}/mount_fuzz", self.escrowfs, self.directory, "--seed", str(self.dice.randrange(1 << 31)),
             "--seconds", str(seconds)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        counted = re.search(r"(\d+) operations, nothing differs", done.stdout)
        if done.returncode or not counted:
            self.tell("calls", done.stdout + done.stderr, "failed")
            return
        self.counts["inputs tried"] += int(counted[1])

    def target(self, name, seconds):
        corpus = f"{self.directory}/{name}"
        os.makedirs(corpus)
        seeds = [f"{TOP}/tests/fuzz/corpus/{name}", f"{TOP}/examples/messages"]
        with open(f"{TOP}/tests/fuzz/{name}.c", encoding="utf-8") as source:
            # Their escrow keeps memory from one input to the next (escrow_fixture.h).
            keeps = "escrow_fixture.h" in source.read()
        done = subprocess.run(
            [f"{TARGETS}/{name}", f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=1024", "-print_final_stats=1",
             f"-artifact_prefix={self.directory}/", *(["-detect_leaks=0", "-len_control=0"] if keeps else []), corpus, *seeds],
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        counted = re.search(r"number_of_executed_units: (\d+)", said)
        self.counts["inputs tried"] += int(counted[1]) if counted else 0
        if done.returncode or not counted:
            self.tell(name, said, "crashes")

    def targets(self, seconds):
        names = sorted(name for name in os.listdir(TARGETS) if re.fullmatch("fuzz_[a-z]+", name))
        if not names:
            self.counts.found("failed", f"{TARGETS} has no fuzz targets: make fuzz")
        for name in names:
            self.target(name, max(LEAST, int(seconds / len(names))))

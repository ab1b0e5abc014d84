#!/usr/bin/python3
"""Random operations by several users' processes on a mount, each held against a model of the contract.

    mount_fuzz ESCROWFS DIRECTORY [--seed N] [--seconds N] [--operations N]
    mount_fuzz ESCROWFS DIRECTORY --replay SCRIPT

Runs of so many operations, each with a fresh store below DIRECTORY and its own seed, until the time is over; the
first is always made. Of every operation the result is compared, and of every run what is there in the end: all
files, owners, modes and ACLs, the searches, the trail; then once more after `escrowfs verify` and a new mount.

A run that fails is cut down to the operations that it takes, each tried on a fresh store, and these are printed
as a script: Python's literals, a line an operation, for --replay.
"""

import argparse
import ast
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import calls  # noqa: E402
import run  # noqa: E402
import texts  # noqa: E402

SHRINKING = 120  # seconds


class Fuzzer:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.counts = {}

    def fresh(self):
        return tempfile.mkdtemp(dir=self.directory, prefix="run-")

    def run(self, operations, done=None):
        """The mismatch, or None. done: gets the operations that were made."""
        directory = self.fresh()
        os.chmod(directory, 0o755)
        one = run.Run(self.program, directory)
        try:
            for operation in operations(one.model) if callable(operations) else operations:
                if done is not None:
                    done.append(operation)
                one.make(operation)
            one.finish()
            return None
        except run.Mismatch as e:
            return e
        except texts.NotModelled:
            return None
        finally:
            for key, n in one.counts.items():
                self.counts[key] = self.counts.get(key, 0) + n
            try:
                one.end()
            finally:
                shutil.rmtree(directory, ignore_errors=True)

    def shrink(self, operations, wrong):
        """Delta debugging: ever smaller parts are left out as long as it still fails."""
        deadline = time.monotonic() + SHRINKING
        size = max(1, len(operations) // 2)
        while size and time.monotonic() < deadline:
            at, cut = 0, False
            while at < len(operations) and time.monotonic() < deadline:
                fewer = operations[:at] + operations[at + size:]
                still = self.run(fewer)
                if still and still.kind == wrong.kind:
                    operations, wrong, cut = fewer, still, True
                else:
                    at += size
            if size == 1 and not cut:
                break
            size = size // 2 if size > 1 else 1
        return operations, wrong


def random_run(fuzzer, seed, count):
    dice, made = random.Random(seed), []
    texts.known.clear()

    def operations(mount):
        endless = calls.Calls(dice, mount)
        return (next(endless) for _ in range(count))
    wrong = fuzzer.run(operations, made)
    if not wrong:
        return
    print(f"seed {seed}, {len(made)} operations: {wrong}\n\nshrinking ...", flush=True)
    made, wrong = fuzzer.shrink(made, wrong)
    print(f"{wrong}\n\nWith what follows in a file, --replay FILE shows it again:\n")
    print_script(fuzzer, made)
    sys.exit(1)


def print_script(fuzzer, operations):
    texts.used.clear()
    fuzzer.run(operations)
    for text in texts.used & texts.known.keys():
        message = texts.known[text]
        print(repr(("means", text, tuple(message) if message else None)))
    for operation in operations:
        print(repr(operation))


def replay(fuzzer, script):
    operations = []
    with open(script, encoding="utf-8") as file:
        for line in file:
            operation = ast.literal_eval(line)
            if operation[0] == "means":
                texts.known[operation[1]] = operation[2] and texts.Message(*operation[2])
            else:
                operations.append(operation)
    wrong = fuzzer.run(operations)
    print(wrong or "nothing differs")
    sys.exit(1 if wrong else 0)


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("program")
    arguments.add_argument("directory")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    arguments.add_argument("--seconds", type=float, default=0)
    arguments.add_argument("--operations", type=int, default=400)
    arguments.add_argument("--replay")
    asked = arguments.parse_args()
    fuzzer = Fuzzer(os.path.abspath(asked.program), os.path.abspath(asked.directory))
    if asked.replay:
        replay(fuzzer, asked.replay)
    until, seed = time.monotonic() + asked.seconds, asked.seed
    while True:
        print(f"seed {seed}, {asked.operations} operations", flush=True)
        random_run(fuzzer, seed, asked.operations)
        seed += 1
        if time.monotonic() >= until:
            break
    names = {}
    for (name, outcome), n in sorted(fuzzer.counts.items()):
        names.setdefault(name, []).append(f"{outcome} {n}")
    for name, outcomes in names.items():
        print(f"{name}: {', '.join(outcomes)}")
    print(f"{seed - asked.seed} runs, {sum(fuzzer.counts.values())} operations, nothing differs")


main()

#!/usr/bin/python3
"""Tries to make escrowfs lose something: make torture.

    torture.py ESCROWFS DIRECTORY MINUTES [PART...]

ESCROWFS is a build with fault points and a disk of its own (make FAULTS=1). DIRECTORY is made, and taken away again. Each
part is done once, whatever MINUTES say; what is left of them goes to chance. TORTURE_SEED repeats what the dice said
(not what meets what). The last lines are counts, and the exit status is 1 if any of those that should be 0 is not.
"""

import os
import random
import shutil
import sys
import time

from crash import Crashes
from failing import Failing
from flips import Flips
from inputs import Inputs
from world import Counts, World

SHOULD_BE_0 = ["tokens lost", "tokens half", "unrecorded retrievals", "crashes", "flips not found", "points not reached", "failed"]
SHOWN = ["writes acknowledged", "retrievals", "faults injected", "power cuts", "inputs tried"]


class Torture:
    def __init__(self, escrowfs, directory, seconds, seed):
        self.escrowfs, self.directory = os.path.abspath(escrowfs), os.path.abspath(directory)
        self.end = time.monotonic() + seconds
        self.seconds, self.seed = seconds, seed
        self.every_bit = bool(os.environ.get("TORTURE_EVERY_BIT"))
        self.dice, self.counts, self.worlds = random.Random(seed), Counts(), 0

    def world(self):
        self.worlds += 1
        return World(self.escrowfs, f"{self.directory}/{self.worlds}", self.counts, self.seed)

    def part(self, name):
        print(f"{name}:", flush=True)

    def points(self):
        self.part("kill -9 at every fault point")
        crashes = Crashes(self.world, self.counts, self.dice, f"{self.directory}/points")
        crashes.all_points()
        crashes.close()

    def crash(self, seconds):
        self.part("kill -9 by chance, and the power goes out")
        crashes = Crashes(self.world, self.counts, self.dice, f"{self.directory}/points")
        kinds = [crashes.mount_dies_by_chance, crashes.power_goes_out,
                 lambda: crashes.power_goes_out_in(crashes.rekey_dies_at), crashes.power_goes_out,
                 lambda: crashes.power_goes_out_in(crashes.import_dies_at)]
        end, n = time.monotonic() + seconds, 0
        while n < len(kinds) or time.monotonic() < end:
            kinds[n % len(kinds)]()
            n += 1
        crashes.close()
        print(f"  {n} times", flush=True)

    def disk(self, seconds):
        self.part("the disk fails")
        Failing(self.world(), self.counts, self.dice).run(seconds)

    def flips(self, seconds):
        self.part("bits turn over")
        end = time.monotonic() + seconds
        Flips(self.world(), self.counts, self.dice).run(lambda: time.monotonic() > end, self.every_bit)

    def calls(self, seconds):
        self.part("random calls")
        Inputs(self.escrowfs, f"{self.directory}/calls", self.counts, self.dice).calls(seconds)

    def fuzz(self, seconds):
        self.part("hostile input for each parser")
        Inputs(self.escrowfs, f"{self.directory}/fuzz", self.counts, self.dice).targets(seconds)

    def run(self, parts):
        """Half of the time that is left for each but the last."""
        todo = {"points": lambda _: self.points(), "disk": self.disk, "flips": self.flips, "calls": self.calls,
                "fuzz": self.fuzz, "crash": self.crash}
        parts = parts or list(todo)
        for i, name in enumerate(parts):
            left = max(0, self.end - time.monotonic())
            todo[name](left if i == len(parts) - 1 else left / 2)

    def tell(self):
        counts = self.counts
        for name in SHOWN + SHOULD_BE_0:
            print(f"{counts[name]:10} {name}")
        return 1 if any(counts[name] for name in SHOULD_BE_0) else 0


def main():
    escrowfs, directory, minutes, *parts = sys.argv[1:]
    seed = int(os.environ.get("TORTURE_SEED") or time.time_ns() % 1000000)
    print(f"TORTURE_SEED={seed}", flush=True)
    os.makedirs(directory)
    torture = Torture(escrowfs, directory, 60 * float(minutes), seed)
    torture.run(parts)
    status = torture.tell()
    if status:
        print(f"what is left of it: {directory}")
    else:
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())

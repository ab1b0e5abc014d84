"""The other end of disk.h: a file that the program's disk maps as well."""

import mmap
import os
import struct

READ, WRITE, SYNC, TRUNCATE = 1, 2, 4, 8
FIELDS = ("operations", "passing", "fail", "error", "seen", "failed", "keep", "cut", "seed", "is_out", "reads", "writes",
          "syncs")
FOR_EVER = 1 << 60


class Disk:
    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(8 * len(FIELDS)))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.env = {"ESCROWFS_DISK": os.path.abspath(path)}

    def __getitem__(self, field):
        return struct.unpack_from("<q", self.map, 8 * FIELDS.index(field))[0]

    def __setitem__(self, field, value):
        struct.pack_into("<q", self.map, 8 * FIELDS.index(field), value)

    def fail(self, operations, error, passing=0, times=FOR_EVER):
        self.heal()
        self["error"], self["passing"], self["fail"] = error, passing, times
        self["operations"] = operations

    def heal(self):
        self["operations"] = self["fail"] = self["passing"] = 0

"""Bits of a small store's database turn over, one at a time.

`verify` finds each that matters: each that changes a value of a table, or isn't the database's any more. (Bits that lie
in free space, say, change nothing.) A retrieval of a token whose seal is changed says EBADMSG; and no bit makes any
command or the mount crash."""

import base64
import concurrent.futures
import errno
import os
import re
import shutil
import signal
import sqlite3
import subprocess

import clients

# What a flip in these changes is kept nowhere else, so nothing can be held against it, and nobody gets a token by it:
UNTOLD = re.compile(
    r"(fact\.(value|at|source)|"  # what devices last reported: the trail says which facts changed, not to what
    r"device\.(created|enrolled|reenrolled|checked_out|retrieved|proven|security|status|token)_at|"  # a file's times, and what
    # devices did; that a retrieval isn't later than kept, the trail tells
    r"version\.sealed_at|access\.changed_at|recipient\.(added|retired)_at|head\.devices_at|store\.made_at|"  # times of files
    r"trail\.at|"  # below the millisecond that a line has
    r"recipient\.(id|name)|"  # in which order they are listed, and under which name
    r"version\.generation|store\.generation|"  # which rekey a seal is from: it is done again, or isn't
    r"device\.last_version|sqlite_sequence\.seq|"  # numbers that nobody had are left out
    r"store\.(uid|gid|unclean|rendering|key_uri))$")  # who served it, what is left to be done, where the key is


PATIENCE = 60  # seconds, with a damaged store


def too_long(*_):
    raise TimeoutError


class Flips:
    def __init__(self, world, counts, dice):
        self.world, self.counts, self.dice = world, counts, dice
        self.untold = {}
        signal.signal(signal.SIGALRM, too_long)

    # ---- the store ----

    def make(self):
        world = self.world
        world.init()
        world.mount()
        for n in range(3):
            for serial in range(1, 3):
                self.checkin("SetBootstrapToken", f"D-{n}", clients.token_of(f"D-{n}", "w", serial))
            with open(f"{world.mount_point}/devices/D-{n}/security.json", "r+b", buffering=0) as file:
                file.write(b'{"SerialNumber": "C0%d", "OSVersion": "14.%d", "IsEncrypted": true}' % (n, n))
        os.chmod(f"{world.mount_point}/devices/D-0/token", 0o640)
        os.truncate(f"{world.mount_point}/devices/D-1/token", 0)
        with open(f"{world.mount_point}/devices/D-2/token", "rb") as file:
            file.read()
        world.unmount()
        self.right = self.rows(f"{world.store}/escrow.db")
        self.tables = self.right.pop("")
        with open(f"{world.store}/escrow.db", "rb") as file:
            self.bytes = file.read()

    def checkin(self, kind, udid, token):
        fd = os.open(f"{self.world.mount_point}/checkin", os.O_RDWR)
        os.write(fd, clients.message(kind, udid, token))
        os.close(fd)

    @staticmethod
    def rows(path, tables=None):
        """All values, by table and column; None when it isn't a database, or hasn't all of the tables."""
        try:
            with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as database:
                database.text_factory = bytes
                if not tables:
                    rows = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
                    tables = {name.decode(): database.execute(f'SELECT * FROM "{name.decode()}"').description
                              for (name,) in rows}
                found = {}
                for table, columns in tables.items():
                    for row in database.execute(f'SELECT * FROM "{table}"'):
                        for column, value in zip(columns, row):
                            found.setdefault(f"{table}.{column[0]}", []).append(value)
                found[""] = tables
                return found
        except (sqlite3.Error, UnicodeDecodeError):
            return None

    def copy(self, name):
        """A store like it, with the same key."""
        store = f"{self.world.directory}/{name}"
        os.makedirs(store, exist_ok=True, mode=0o700)
        for which in "key", "recovery":
            shutil.copy(f"{self.world.store}.{which}.pem", f"{store}.{which}.pem")
        return store

    def flip(self, store, bit):
        data = bytearray(self.bytes)
        data[bit // 8] ^= 1 << bit % 8
        for name in os.listdir(store):
            os.unlink(f"{store}/{name}")
        with open(f"{store}/escrow.db", "wb") as file:
            file.write(data)
        os.chmod(f"{store}/escrow.db", 0o600)

    # ---- one bit ----

    def judge(self, store, bit):
        """What is wrong with how it was taken; in a thread."""
        self.flip(store, bit)
        rows = self.rows(f"{store}/escrow.db", self.tables)
        if rows:
            rows.pop("")
        try:
            status, said = self.world.run("verify", store, check=False, patience=PATIENCE)
        except subprocess.TimeoutExpired:
            return "failed", f"bit {bit}: verify hangs"
        if status < 0 or "AddressSanitizer" in said:
            return "crashes", f"bit {bit}: verify died of signal {-status}: {said}"
        if status == 1 or rows == self.right:
            return None
        if status != 0:
            return "failed", f"bit {bit}: verify ended with {status}"
        changed = "no table can be read" if rows is None else \
            ", ".join(sorted(column for column in set(rows) | set(self.right) if rows.get(column) != self.right.get(column)))
        if changed and all(UNTOLD.match(column) for column in changed.split(", ")):
            self.untold[changed] = self.untold.get(changed, 0) + 1
            return None
        one = changed.split(", ")[0]
        return "flips not found", f"bit {bit}: {changed}: {self.right.get(one)} became {(rows or {}).get(one)}"

    def verify_finds(self, bits):
        workers = os.cpu_count() or 1
        stores = [self.copy(f"flip{n}") for n in range(workers)]

        def work(n):
            return [found for bit in bits[n::workers] for found in [self.judge(stores[n], bit)] if found]

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for findings in pool.map(work, range(workers)):
                for what, sentence in findings:
                    self.counts.found(what, sentence)
        self.counts["inputs tried"] += len(bits)

    # ---- a mount of it ----

    def use(self, store):
        """Looks at all there is, and writes."""
        mount = self.world.mount_point
        for directory, names, files in os.walk(mount):
            names.sort()
            for name in files:
                path = f"{directory}/{name}"
                try:
                    os.lstat(path)
                    if name != "checkin":
                        with open(path, "rb") as file:
                            file.read()
                except OSError:
                    pass
        for kind, udid, token in (("GetBootstrapToken", "D-2", None), ("SetBootstrapToken", "D-0", b"another"),
                                  ("TokenUpdate", "D-9", None)):
            try:
                self.checkin(kind, udid, token)
            except OSError:
                pass
        return store

    def mounted(self, store, what, use):
        world = self.world
        process = subprocess.Popen([world.escrowfs, "mount", "-f", store, world.mount_point], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        is_there = world.until_mounted(process)
        signal.alarm(PATIENCE)
        try:
            if is_there:
                use(store)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        except (TimeoutError, subprocess.TimeoutExpired):
            self.counts.found("failed", f"{what}: the mount hangs")
            process.kill()
        signal.alarm(0)
        if process.wait() < 0:
            self.counts.found("crashes", f"{what}: the mount died of signal {-process.returncode}")
            subprocess.run(["umount", "-l", world.mount_point], check=False, capture_output=True)

    def mount_stays(self, bits):
        store = self.copy("mounted")
        for bit in bits:
            self.flip(store, bit)
            self.mounted(store, f"bit {bit}", self.use)
        self.counts["inputs tried"] += len(bits)

    def seals(self, limit):
        """Bits of a current seal, and of what goes with it."""
        with sqlite3.connect(f"file:{self.world.store}/escrow.db?immutable=1", uri=True) as database:
            blob, = database.execute("SELECT blob FROM sealed JOIN version ON version.id = version JOIN device ON device.id = "
                                     "device WHERE udid = 'D-2' AND ended_at = 0").fetchone()
        at = self.bytes.find(blob)
        assert at > 0
        bits = range(8 * at, 8 * (at + len(blob)))
        store = self.copy("seal")
        for bit in bits if limit >= len(bits) else self.dice.sample(bits, limit):
            self.flip(store, bit)

            def use(_, bit=bit):
                try:
                    os.close(os.open(f"{self.world.mount_point}/devices/D-2/token", os.O_RDONLY))
                    self.counts.found("failed", f"bit {bit} of a seal turned over, and it opens")
                except OSError as error:
                    if error.errno != errno.EBADMSG:
                        self.counts.found("failed", f"bit {bit} of a seal turned over: {error}")

            self.mounted(store, f"bit {bit} of a seal", use)
            self.counts["inputs tried"] += 1

    def shape(self):
        """The bytes that hold the database together: each page's header, where its cells are, and how a cell starts (its
        size and its row's number, or the page below)."""
        found = set()
        for page in range(0, len(self.bytes), 4096):
            header = page + (100 if page == 0 else 0)
            start = {5: 12, 2: 12, 13: 8, 10: 8}.get(self.bytes[header])
            if start is None:
                continue
            cells = header + start
            count = int.from_bytes(self.bytes[header + 3:header + 5], "big")
            found.update(range(header, cells + 2 * count))
            for at in range(cells, cells + 2 * count, 2):
                cell = page + int.from_bytes(self.bytes[at:at + 2], "big")
                found.update(range(cell, cell + 6))
        return found

    def order(self):
        """All bits by chance, every second one from the shape while there are any; where all is 0 there is mostly free space, which
        comes last."""
        bits = list(range(8 * len(self.bytes)))
        self.dice.shuffle(bits)
        shape = self.shape()
        first = [bit for bit in bits if bit // 8 in shape]
        rest = sorted((bit for bit in bits if bit // 8 not in shape), key=lambda bit: self.bytes[bit // 8] == 0)
        both = [bit for pair in zip(first, rest) for bit in pair]
        return both + rest[len(first):]

    def run(self, until, everything=False):
        """`until`: called between rounds; True ends it. `everything`: every bit there is."""
        self.make()
        bits = self.order()
        self.seals(1 << 30 if everything else 40)
        self.mount_stays(bits[:40])
        done = 0
        while done < len(bits) and (everything or done == 0 or not until()):
            self.verify_finds(bits[done:done + 200])
            done += 200
        print(f"  {min(done, len(bits))} of {len(bits)} bits", flush=True)
        for columns, times in sorted(self.untold.items()):
            print(f"    {times} of {columns}: kept nowhere else", flush=True)
        self.world.end()

"""Processes of several users that make the calls, one at a time, in the order that the driver says."""

import ast
import errno
import os
import stat
import sys

from gate import ROOT
from tree import USERS

ACL = "system.posix_acl_access"
FLAGS = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR, "trunc": os.O_TRUNC, "append": os.O_APPEND}


def word(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def flags_of(text):
    return sum(FLAGS[flag] for flag in text.split(","))


class Caller:
    """What a worker does. Each do_ is named and called as in model.Mount."""

    def __init__(self, mount):
        self.mount, self.slots = mount, {}

    def call(self, name, *arguments):
        try:
            return getattr(self, "do_" + name)(*arguments)
        except OSError as e:
            return word(e)

    def at(self, path):
        return self.mount + path

    def do_mkdir(self, path):
        os.mkdir(self.at(path))

    def do_rmdir(self, path):
        os.rmdir(self.at(path))

    def do_unlink(self, path):
        os.unlink(self.at(path))

    def do_rename(self, path):
        os.rename(self.at(path), self.at(path) + "x")

    def do_create(self, path):
        os.close(os.open(self.at(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    def do_symlink(self, path):
        os.symlink("token", self.at(path))

    def do_chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def do_chown(self, path, uid, gid):
        os.chown(self.at(path), uid, gid)

    def do_utime(self, path):
        os.utime(self.at(path), (1, 1))

    def do_setacl(self, path, value):
        if value:
            os.setxattr(self.at(path), ACL, value)
        else:
            os.removexattr(self.at(path), ACL)

    def do_stat(self, path):
        attr = os.lstat(self.at(path))
        if stat.S_ISLNK(attr.st_mode):
            return "link", attr.st_size
        try:
            acl = os.getxattr(self.at(path), ACL)
        except OSError as e:
            if e.errno != errno.ENODATA:
                raise
            acl = b""
        shown = path.endswith("/token") or path.endswith("/bootstrap_status")
        size = attr.st_size if shown and path.startswith("/devices/") else None
        kind = "directory" if stat.S_ISDIR(attr.st_mode) else "file"
        return kind, stat.S_IMODE(attr.st_mode), attr.st_uid, attr.st_gid, acl, size

    def do_listdir(self, path):
        return sorted(os.listdir(self.at(path)))

    def do_readlink(self, path):
        return os.readlink(self.at(path))

    # ---- open files ----

    def do_open(self, slot, path, flags):
        self.slots[slot] = os.open(self.at(path), flags_of(flags))

    def do_read(self, slot, size):
        return os.read(self.slots[slot], size)

    def do_pread(self, slot, size, offset):
        return os.pread(self.slots[slot], size, offset)

    def do_write(self, slot, data):
        return os.write(self.slots[slot], data)

    def do_pwrite(self, slot, data, offset):
        return os.pwrite(self.slots[slot], data, offset)

    def do_sendfile(self, slot):
        with open("/dev/null", "wb") as nowhere:
            return os.sendfile(nowhere.fileno(), self.slots[slot], 0, 4096)

    def do_dup(self, slot, other):
        self.slots[other] = os.dup(self.slots[slot])

    def do_close(self, slot):
        os.close(self.slots.pop(slot))

    def do_truncate(self, path, size):
        os.truncate(self.at(path), size)

    def do_ftruncate(self, slot, size):
        os.ftruncate(self.slots[slot], size)

    # ---- whole programs ----

    def write_all(self, fd, pieces):
        try:
            for piece in pieces:
                os.write(fd, piece)
        except OSError as e:
            return word(e)
        return None

    def read_all(self, fd):
        text = b""
        while part := os.read(fd, 65536):
            text += part
        return text

    def do_cat(self, path):
        fd = os.open(self.at(path), os.O_RDONLY)
        try:
            return self.read_all(fd)
        finally:
            os.close(fd)

    def do_put(self, path, flags, pieces):
        fd = os.open(self.at(path), flags_of(flags))
        verdict, closed = self.write_all(fd, pieces), None
        try:
            os.close(fd)
        except OSError as e:
            closed = word(e)
        return verdict, closed

    def do_say(self, pieces):
        fd = os.open(self.at("/checkin"), os.O_RDWR)
        verdict = self.write_all(fd, pieces)
        try:
            reply = self.read_all(fd)
        except OSError as e:
            reply = word(e)
        try:
            os.close(fd)
        except OSError:
            pass
        return verdict, reply


class Worker:
    def __init__(self, who, mount):
        ask, self.ask = os.pipe()
        self.answer, answer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                serve(who, mount, ask, answer)
            finally:
                os._exit(0)
        os.close(ask)
        os.close(answer)
        self.ask, self.answer = os.fdopen(self.ask, "w"), os.fdopen(self.answer)

    def call(self, *what):
        self.ask.write(repr(what) + "\n")
        self.ask.flush()
        line = self.answer.readline()
        if not line:
            raise RuntimeError(f"the worker that was to make {what} is gone")
        return ast.literal_eval(line)

    def end(self):
        self.ask.close()
        self.answer.close()
        os.waitpid(self.pid, 0)


def serve(who, mount, ask, answer):
    user = USERS[who]
    # None of another worker's pipes: nobody would see their ends.
    low, high = sorted((ask, answer))
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, 256)
    if user != ROOT:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    caller = Caller(mount)
    with os.fdopen(ask) as asked, os.fdopen(answer, "w") as to:
        for line in asked:
            try:
                got = caller.call(*ast.literal_eval(line))
            except BaseException as e:  # pylint: disable=broad-except
                print(f"worker {who}: {line}: {e!r}", file=sys.stderr)
                return
            to.write(repr(got) + "\n")
            to.flush()

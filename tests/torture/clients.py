"""Clients of a mount: processes that escrow, remove and retrieve without a pause until the mount is gone.

Each keeps a diary, a file that it adds a line to before and after every call:

    try UDID WRITER SERIAL      a token is about to be escrowed (SERIAL 0: the token is about to be removed)
    ack UDID WRITER SERIAL      ... and the call returned without an error
    refused UDID WRITER SERIAL ERRNO
    got UDID PID                an open or a reply gave a whole token
    half UDID ...               it gave something else
    denied UDID PID ERRNO       a retrieval was refused

A token says whose it is, and proves that it is whole: UDID|WRITER|SERIAL|filler|SHA-256 of what comes before.
"""

import base64
import errno
import hashlib
import os
import plistlib
import random
import re
import signal

GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV}


def token_of(udid, writer, serial):
    head = f"{udid}|{writer}|{serial}|" + "x" * (serial * 37 % 200)
    return (head + "|" + hashlib.sha256(head.encode()).hexdigest()).encode()


def read_token(token):
    """(UDID, WRITER, SERIAL), or None when it is no whole token of ours."""
    head, _, digest = token.decode(errors="replace").rpartition("|")
    parts = head.split("|")
    if hashlib.sha256(head.encode()).hexdigest() != digest or len(parts) != 4:
        return None
    return parts[0], parts[1], int(parts[2])


def message(kind, udid, token=None):
    about = {"MessageType": kind, "UDID": udid}
    if token is not None:
        about["BootstrapToken"] = token
    return plistlib.dumps(about)


class Client:
    def __init__(self, mount, diary, name, seed):
        self.mount, self.name = mount, name
        self.diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.dice = random.Random(seed)
        self.is_told_to_stop = False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        """At the end of the call that is under way."""
        self.is_told_to_stop = True

    def note(self, *words):
        os.write(self.diary, (" ".join(map(str, words)) + "\n").encode())

    def token_path(self, udid):
        return f"{self.mount}/devices/{udid}/token"

    def by_file(self, udid, serial):
        fd = os.open(self.token_path(udid), os.O_WRONLY)
        try:
            os.write(fd, base64.b64encode(token_of(udid, self.name, serial)) + b"\n")
        finally:
            close(fd)

    def by_message(self, udid, serial):
        fd = os.open(f"{self.mount}/checkin", os.O_RDWR)
        try:
            os.write(fd, message("SetBootstrapToken", udid, token_of(udid, self.name, serial)))
        finally:
            close(fd)

    def remove(self, udid):
        os.truncate(self.token_path(udid), 0)

    def change(self, udid, serial):
        """False: the mount is gone."""
        how = self.dice.random()
        if how < 0.1 and udid != "CROWD":
            serial = 0
        self.note("try", udid, self.name, serial)
        try:
            if serial == 0:
                self.remove(udid)
            elif how < 0.5:
                self.by_file(udid, serial)
            else:
                self.by_message(udid, serial)
        except OSError as error:
            if error.errno in GONE:
                return False
            self.note("refused", udid, self.name, serial, errno.errorcode.get(error.errno, error.errno))
            return True
        self.note("ack", udid, self.name, serial)
        return True

    def judge(self, udid, token):
        whose = read_token(token)
        if whose and whose[0] == udid:
            self.note("got", udid, os.getpid())
        else:
            self.note("half", udid, os.getpid(), token[:60].hex())

    def retrieve(self, udid):
        try:
            if self.dice.random() < 0.6:
                fd = os.open(self.token_path(udid), os.O_RDONLY)
                try:
                    line = os.read(fd, 70000)
                finally:
                    close(fd)
                if line:
                    self.judge(udid, base64.b64decode(line, validate=False))
            else:
                fd = os.open(f"{self.mount}/checkin", os.O_RDWR)
                try:
                    os.write(fd, message("GetBootstrapToken", udid))
                    reply = os.read(fd, 1 << 20)
                finally:
                    close(fd)
                data = re.search(rb"<data>(.*?)</data>", reply, re.S)
                if data and data[1].strip():
                    self.judge(udid, base64.b64decode(data[1]))
        except OSError as error:
            if error.errno in GONE:
                return False
            self.note("denied", udid, os.getpid(), errno.errorcode.get(error.errno, error.errno))
        return True


def close(fd):
    """What close says of a dead mount isn't of interest."""
    try:
        os.close(fd)
    except OSError:
        pass


def write_for_ever(client, devices, serial):
    while not client.is_told_to_stop:
        serial += 1
        if not client.change(client.dice.choice(devices), serial):
            return


def read_for_ever(client, devices):
    while not client.is_told_to_stop and client.retrieve(client.dice.choice(devices)):
        pass


def start(mount, diaries, writers, readers, serial, seed):
    """Forks them; the processes' numbers. Writer n alone has W-n-0 and W-n-1; all of them write to CROWD."""
    pids = []
    everything = ["CROWD"] + [f"W-{n}-{i}" for n in range(writers) for i in range(2)]
    for n in range(writers + readers):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        try:
            name = f"{'w' if n < writers else 'r'}{n}"
            client = Client(mount, f"{diaries}/{name}", name, seed * 1000 + n)
            if n < writers:
                write_for_ever(client, [f"W-{n}-0", f"W-{n}-1", "CROWD"], serial)
            else:
                read_for_ever(client, everything)
        finally:
            os._exit(0)
    return pids

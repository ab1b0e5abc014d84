"""What a run of the stress test left: the clients' diaries, what was done beside them, and the trail."""

import collections
import hashlib
import json
import os
import re
import zlib

FOREVER = float("inf")

Line = collections.namedtuple("Line", "seq action outcome udid version command pid reason start end")


class Call:
    """A call of a client: what it asked, what it got, and between which two moments."""

    __slots__ = "who", "number", "begin", "end", "name", "device", "argument", "result", "lines", "refusals", "lazy"

    def __init__(self, who, number, begin, end, name, device, argument, result):
        self.who, self.number, self.begin, self.end = who, number, begin, end
        self.name, self.device, self.argument, self.result = name, device, argument, result
        self.lines, self.refusals, self.lazy = [], [], False

    def __str__(self):
        words = " ".join(filter(None, (self.name, self.device, self.argument)))
        return f"{self.who}, call {self.number}: {words} -> {self.result[:400]}"


def read_diaries(directory):
    """All calls, by the name that their process had while it made them."""
    calls = {}
    for name in sorted(os.listdir(directory)):
        if not name.isdigit():
            continue
        with open(os.path.join(directory, name), encoding="ascii") as diary:
            for line in diary:
                number, begin, end, *rest = line.rstrip("\n").split("\t")
                call = Call(f"client {name}", int(number), int(begin), int(end), *rest)
                # What a killed process asked for may happen later, or never.
                if call.result == "killed":
                    call.end = FOREVER
                calls[f"s{name}.{number}"] = call
    return calls


def read_beside(directory):
    path = os.path.join(directory, "beside")
    with open(path, encoding="ascii") as notes:
        return [json.loads(line) for line in notes]


def import_calls(notes):
    """Each message of an import is a call like a device's own; by process and device."""
    calls = {}
    for note in notes:
        for n, (device, label) in enumerate(note.get("messages", {}).items()):
            call = Call(f"import {note['pid']}", n, note["begin"], note["end"], "set", device, label, "ok")
            # The mount isn't told: what the kernel keeps may be a moment old.
            call.lazy = True
            calls[note["pid"], device] = call
    return calls


class Trail:
    """The trail's lines, and its bytes."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.lines, self.wrong = [], []
        start, chain = 0, "0" * 64
        for seq, text in enumerate(self.bytes.splitlines(keepends=True), 1):
            line = json.loads(text)
            chain = hashlib.sha256(chain.encode() + text[:text.rindex(b',"chain":')]).hexdigest()
            if line["seq"] != seq or line["chain"] != chain or not text.endswith(b"\n"):
                self.wrong.append(f"line {seq} of the trail: its number or its chain is wrong")
            self.lines.append(Line(seq, line["action"], line["outcome"], line.get("udid", ""), line.get("version", 0),
                                   line.get("command", ""), line.get("pid", 0), line.get("reason", ""), start,
                                   start + len(text)))
            start += len(text)

    def crc(self, offset, length):
        return zlib.crc32(self.bytes[offset:offset + length])


def assign(trail, calls, imports):
    """Gives each call its lines. Returns the lines of nobody who should have any, as failures."""
    wrong = []
    for line in trail.lines:
        if re.fullmatch(r"s\d\d\.\d+", line.command):
            call = calls.get(line.command)
        elif line.command == "escrowfs" and (line.pid, line.udid) in imports:
            call = imports[line.pid, line.udid]
        else:
            continue
        if not call:
            wrong.append(f"line {line.seq} of the trail is of {line.command}, which made no such call: {line}")
        elif line.action == "refuse":
            call.refusals.append(line)
        else:
            call.lines.append(line)
    return wrong

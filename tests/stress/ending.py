#!/usr/bin/python3
"""Holds what a store has when the stress test is over against what judge.py says should be there.

    ending.py ESCROWFS STORE MOUNT DIARIES

Of each device that ever was: its word, its token, its versions in security.json, and all of them in `history`.
Then the counters of /metrics against the lines of the trail since the mount.
"""

import base64
import collections
import json
import os
import re
import subprocess
import sys
import time

escrowfs, store, mount, diaries = sys.argv[1:]
failures = []


def read(path):
    with open(os.path.join(mount, path), "rb") as file:
        return file.read()


def hold(device, what, got, should):
    if got != should:
        failures.append(f"{device}: {what} is {got}, should be {should}")


def label_of(token):
    if not token:
        return None
    label, pad = base64.b64decode(token, validate=False).decode().rsplit("|", 1)
    return label if token.endswith(b"\n") and pad == "x" * int(label.rsplit("|", 1)[1]) else "BROKEN " + label


def history(device):
    run = subprocess.run([escrowfs, "history", store, device], stdout=subprocess.PIPE, check=True, encoding="ascii")
    return [[int(number), how, bool(gone)] for number, how, gone in
            re.findall(r"^ +(\d+)  .*  (\w+)( \(the device was taken away\))?$", run.stdout, re.M)]


def hold_device(device, should):
    hold(device, "history", history(device) if should["word"] or should["versions"] else [], should["versions"])
    directory = f"devices/{device}"
    if not should["word"]:
        hold(device, "its directory", os.path.exists(os.path.join(mount, directory)), False)
        return
    hold(device, "bootstrap_status", read(f"{directory}/bootstrap_status").decode(), should["word"] + "\n")
    hold(device, "token", label_of(read(f"{directory}/token")), should["token"])
    text = read(f"{directory}/security.json")
    hold(device, "st_size of security.json", os.stat(os.path.join(mount, directory, "security.json")).st_size, len(text))
    security = json.loads(text)["Escrow"]
    hold(device, "Status", security["Status"], should["word"])
    hold(device, "Versions", [[v["Number"], v.get("Ended", "current")] for v in security.get("Versions", [])],
         [[number, how] for number, how, gone in should["versions"] if not gone])


def hold_counters():
    lines = [json.loads(line) for line in read("audit").splitlines()]
    mounted = max(n for n, line in enumerate(lines) if line["action"] == "mount")
    daemon = lines[mounted]["pid"]
    # What other processes wrote meanwhile isn't this mount's.
    others = {line["pid"] for line in lines if line.get("command") == "escrowfs"} - {daemon}
    since = collections.Counter(line["action"].replace(" ", "_") for line in lines[mounted:]
                                if line.get("pid") not in others)
    counted = {action: int(n) for action, n in
               re.findall(r'^escrowfs_events_total\{action="(\w+)"\} (\d+)$', read("metrics").decode(), re.M) if int(n)}
    hold("/metrics", "events", counted, dict(since))


# What an import changed is told to the kernel within a second.
time.sleep(2)
with open(f"{diaries}/end.json", encoding="ascii") as file:
    end = json.load(file)
for name, should in sorted(end.items()):
    try:
        hold_device(name, should)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        failures.append(f"{name}: {error}")
hold("/devices", "what is in it", sorted(os.listdir(os.path.join(mount, "devices"))),
     sorted(name for name, should in end.items() if should["word"]))
hold_counters()
print(f"{len(end)} devices, {sum(len(should['versions']) for should in end.values())} versions")
if failures:
    print(f"{len(failures)} failures:", *failures[:30], sep="\n")
    sys.exit(1)

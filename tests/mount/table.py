#!/usr/bin/env python3
"""A table of devices as another MDM's database writes it.

    table.py postgres|mysql|select|plain <LINES >FILE

postgres  psql's `\\copy (select id, authenticate, ...) to FILE csv header`
mysql     `mysql --batch -e 'select id, authenticate, ...'`
select    the same of all columns of NanoMDM's table (Fleet's nano_devices has them, too), with CRLF and BOM
plain     udid,serial,token

A line of input is a device: UDID SERIAL TOKEN TIME, where `-` stands for NULL; TIME may have a blank in it.
"""
import csv
import plistlib
import sys

DOTS = b"an unlock token, which nobody here reads \\ \t \xff".hex()


def message(kind, udid, **more):
    return plistlib.dumps({"MessageType": kind, "UDID": udid, **more}).decode()


def devices():
    for line in sys.stdin:
        udid, serial, token, at = (None if x == "-" else x for x in line.rstrip("\n").split(" ", 3))
        yield {
            "id": udid,
            "udid": udid,
            "serial": serial,
            "serial_number": serial,
            "identity_cert": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "unlock_token": "\\x" + DOTS,
            # What needs quotes and escapes in one form or the other.
            "authenticate": message("Authenticate", udid, SerialNumber=serial or "none", OSVersion="14.1",
                                    DeviceName='Ann\'s "Mac", 1\\2\tend'),
            "authenticate_at": "2023-11-05 09:30:00.25",
            "token_update": message("TokenUpdate", udid, AwaitingConfiguration=True),
            "token_update_at": "2023-11-05 09:30:01.5",
            "bootstrap_token_b64": token,
            "token": token,
            "bootstrap_token_at": at,
            "created_at": "2023-11-05 09:30:00",
        }


def escaped(value):
    if value is None:
        return "NULL"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\0", "\\0")


def main():
    form = sys.argv[1]
    columns = {
        "plain": ["udid", "serial", "token"],
        "select": ["id", "identity_cert", "serial_number", "unlock_token", "authenticate", "authenticate_at",
                   "token_update", "token_update_at", "bootstrap_token_b64", "bootstrap_token_at", "created_at"],
    }.get(form, ["id", "authenticate", "token_update", "bootstrap_token_b64", "bootstrap_token_at"])
    out = sys.stdout
    out.reconfigure(newline="")
    if form == "select":
        out.write("\ufeff")
    if form != "mysql":
        table = csv.writer(out, lineterminator="\r\n" if form == "select" else "\n")
        table.writerow(columns)
        table.writerows([row[c] for c in columns] for row in devices())
        return
    out.write("\t".join(columns) + "\n")
    for row in devices():
        out.write("\t".join(escaped(row[c]) for c in columns) + "\n")


main()

"""Compares what the mount shows of a device with what plistlib reads in the messages that it sent.

conformance.py MOUNT MESSAGES: feeds every message below MESSAGES through /checkin, in the order of names
within the order of kinds, and checks each device's facts. Prints what it compared; exit 1 on a difference."""

import base64
import json
import os
import plistlib
import sys

mount, folder = sys.argv[1:]
KINDS = ["Authenticate", "TokenUpdate", "DeviceInformation", "SecurityInfo", "SetBootstrapToken", "CheckOut", "other"]


def payload(data):
    if data.lstrip()[:1] == b"{":
        hook = json.loads(data)
        event = hook.get("checkin_event") or hook.get("acknowledge_event")
        return base64.b64decode(event["raw_payload"])
    return data


def kind(message):
    if "SecurityInfo" in message:
        return "SecurityInfo"
    if "QueryResponses" in message:
        return "DeviceInformation"
    word = message.get("MessageType", "other")
    return word if word in KINDS else "other"


def send(data):
    fd = os.open(mount + "/checkin", os.O_RDWR)
    while data:
        data = data[os.write(fd, data):]
    reply = os.read(fd, 1 << 20)
    os.close(fd)
    return reply


def digits(text):
    return "".join(c for c in text if c.isalnum())


def facts_of(message):
    """What security.json should say, by its keys, of this message alone."""
    out, escrow = {}, {}
    q = message.get("QueryResponses", message if kind(message) == "Authenticate" else {})
    s = message.get("SecurityInfo", {})
    m = s.get("ManagementStatus", {})
    for ours, source, theirs in [
        ("IsPasscodePresent", s, "PasscodePresent"), ("IsPasscodeCompliant", s, "PasscodeCompliant"),
        ("IsEncrypted", s, "FDE_Enabled"), ("HasPersonalRecoveryKey", s, "FDE_HasPersonalRecoveryKey"),
        ("HasInstitutionalRecoveryKey", s, "FDE_HasInstitutionalRecoveryKey"),
        ("EnrolledViaDEP", m, "EnrolledViaDEP"), ("UserApprovedEnrollment", m, "UserApprovedEnrollment"),
        ("SystemIntegrityProtectionEnabled", s, "SystemIntegrityProtectionEnabled"),
        ("SystemIntegrityProtectionEnabled", q, "SystemIntegrityProtectionEnabled"),
        ("IsActivationLockManageable", m, "IsActivationLockManageable"),
        ("AuthenticatedRootVolumeEnabled", s, "AuthenticatedRootVolumeEnabled"),
        ("BootstrapTokenAllowedForAuthentication", s, "BootstrapTokenAllowedForAuthentication"),
        ("BootstrapTokenRequiredForKernelExtensionApproval", s, "BootstrapTokenRequiredForKernelExtensionApproval"),
        ("BootstrapTokenRequiredForSoftwareUpdate", s, "BootstrapTokenRequiredForSoftwareUpdate"),
        ("IsRecoveryLockEnabled", s, "IsRecoveryLockEnabled")]:
        if theirs in source:
            out[ours] = source[theirs]
    for ours, theirs in [("SecureBootStatus", "SecureBootLevel"), ("ExternalBootStatus", "ExternalBootLevel")]:
        if theirs in s.get("SecureBoot", {}):
            out.setdefault("SecureBoot", {})[ours] = s["SecureBoot"][theirs]
    for ours, source, theirs in [
        ("SerialNumber", q, "SerialNumber"), ("Model", q, "Model"), ("OSVersion", q, "OSVersion"),
        ("IsAppleSilicon", q, "IsAppleSilicon"), ("IsSupervised", q, "IsSupervised"),
        ("IsUserEnrollment", m, "IsUserEnrollment")]:
        if source.get(theirs, "") != "":
            escrow[ours] = source[theirs]
    if digits(q.get("IMEI", "")):
        escrow["Imei"] = digits(q["IMEI"])
    mac = digits(q.get("EthernetMAC", "")) or digits(q.get("WiFiMAC", ""))
    if mac.strip("0"):
        escrow["MacAddress"] = mac.upper()
    return out, escrow


messages = []
for base, _, names in os.walk(folder):
    for name in names:
        data = open(os.path.join(base, name), "rb").read()
        if name.endswith((".plist", ".xml", ".json")):
            messages.append((os.path.join(base, name), data, plistlib.loads(payload(data))))
messages.sort(key=lambda m: (KINDS.index(kind(m[2])), m[0]))

known, compared, failures = {}, 0, 0
for path, data, message in messages:
    reply = send(data)
    if message.get("MessageType") == "GetBootstrapToken":
        plistlib.loads(reply)
    elif reply:
        print(path, "has a reply:", reply)
        failures += 1
    udid = message.get("UDID") or message.get("EnrollmentID")
    if "UserID" in message or "EnrollmentUserID" in message or kind(message) == "other":
        continue
    device = known.setdefault(udid, ({}, {}))
    if kind(message) == "Authenticate":
        for gone, where in [("EnrolledViaDEP", 0), ("UserApprovedEnrollment", 0), ("IsUserEnrollment", 1), ("IsSupervised", 1)]:
            device[where].pop(gone, None)
    for mine, new in zip(device, facts_of(message)):
        mine.update(new)

for udid, (facts, escrow) in known.items():
    shown = json.load(open("%s/devices/%s/security.json" % (mount, udid)))
    version = shown["Escrow"].get("OSVersion", "")
    for key, value in facts.items():
        old = version.startswith("10.") and key.startswith("BootstrapToken")
        if (key in shown) if old else shown.get(key) != value:
            print(udid, key, "is", shown.get(key), "should be", value)
            failures += 1
        compared += 1
    for key, value in escrow.items():
        if shown["Escrow"].get(key) != value:
            print(udid, key, "is", shown["Escrow"].get(key), "should be", value)
            failures += 1
        compared += 1
    if os.path.exists("%s/search/udid/%s" % (mount, udid.lower())) is False:
        print(udid, "isn't found by /search")
        failures += 1
print("%d messages, %d devices, %d facts compared" % (len(messages), len(known), compared))
sys.exit(failures != 0 or compared < 20)

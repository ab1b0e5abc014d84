"""What security.json says of a device, times aside."""

import json

import texts

FIRST_BLOCK = texts.OUTSIDE_ESCROW
ESCROW_FACTS = ["SerialNumber", "MacAddress", "Model", "OSVersion", "IsSupervised", "IsUserEnrollment"]
TIMES = {"EscrowedAt", "RetrievedAt", "ProvenAt", "EnrolledAt", "ReenrolledAt", "CheckedOutAt", "FactsAt"}


def of_device(device):
    first = {name: device.facts[name] for name in FIRST_BLOCK if name in device.facts}
    first["BootstrapTokenEscrowStatus"] = bool(device.current) and not device.unenrolled
    escrow = {name: device.facts[name] for name in ESCROW_FACTS if name in device.facts}
    versions = [[v.number, v.ended, v.confirmed] for v in device.versions]
    times = set(device.seen)
    if device.current:
        times.add("EscrowedAt")
    if device.reports:
        times.add("FactsAt")
    escrow.update(Udid=device.name, DeviceId=device.id, Status=device.word(), Versions=versions, times=sorted(times))
    return {**first, "Escrow": escrow}


def of_text(text):
    """The same of the file; ValueError when it isn't such a file."""
    shown = json.loads(text)
    escrow = shown["Escrow"]
    if not escrow.pop("Reasons"):
        raise ValueError("no Reasons")
    versions = escrow.pop("Versions", [])
    for version in versions:
        if "EscrowedAt" not in version or ("EndedAt" in version) != ("Ended" in version):
            raise ValueError(f"version {version}")
    escrow["Versions"] = [[v["Number"], v.get("Ended", ""), "ConfirmedAt" in v] for v in versions]
    escrow["times"] = sorted(TIMES & escrow.keys())
    shown["Escrow"] = {key: value for key, value in escrow.items() if key not in TIMES}
    return shown


def differs(text, device):
    """A sentence, or None."""
    try:
        shown = of_text(text)
    except (ValueError, KeyError) as e:
        return f"security.json is broken ({e!r}): {text!r}"
    wanted = of_device(device)
    return None if shown == wanted else f"security.json says {shown}, should say {wanted}"

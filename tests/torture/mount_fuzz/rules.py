"""Which prerequisites a device misses: the contract's table, over a dict of known facts."""

import re

PLATFORMS = (("iPhone", "iOS"), ("iPad", "iPadOS"), ("AppleTV", "tvOS"), ("Watch", "watchOS"),
             ("RealityDevice", "visionOS"))


def version(text):
    numbers = re.search(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text or "")
    if not numbers:
        return None
    parts = tuple(int(number or 0) for number in numbers.groups())
    return (11, 0, 0) if parts[:2] == (10, 16) else parts


def platform(facts):
    for prefix, name in PLATFORMS:
        if facts.get("Model", "").startswith(prefix):
            return name
    return "macOS"


def missing(facts, user_enrolled=False):
    """The word of what stands in the way and the facts that say so; (None, ()) when nothing does."""
    system, number = platform(facts), version(facts.get("OSVersion"))
    if system in ("tvOS", "watchOS"):
        return "not_supported", ("Model",)
    if number and number < ((10, 15, 0) if system == "macOS" else (26, 0, 0)):
        return "not_supported", ("OSVersion",)
    if user_enrolled or facts.get("IsUserEnrollment"):
        return "not_eligible", ("IsUserEnrollment",)
    dep, approved = facts.get("EnrolledViaDEP"), facts.get("UserApprovedEnrollment")
    supervised = facts.get("IsSupervised")
    if system != "macOS":
        return ("not_eligible", ("IsSupervised",)) if supervised is False else (None, ())
    if not number:
        return None, ()
    if number < (10, 15, 4):
        return ("not_eligible", ("EnrolledViaDEP",)) if dep is False else (None, ())
    if number >= (11, 0, 0) and supervised:
        return None, ()
    if approved is False and not dep:
        return "not_eligible", ("UserApprovedEnrollment", "EnrolledViaDEP")
    return None, ()

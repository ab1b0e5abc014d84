#!/usr/bin/python3
"""Judges a run of the stress test.

    judge.py DIARIES TRAIL [unmounted]

The trail is the order of things: every call that changed something, or retrieved a token, stands there under the
name of its client and its number. So the judge makes them one after the other on a model of the contract
(model.py), and holds what each got against what it should have. Then the calls that left no line: what they got
must be true of a moment between their beginning and their end, as the trail orders the moments. What was
acknowledged before a call began had happened; what began after it ended had not.

Nothing here depends on how fast anything went. Writes what should be there in the end to DIARIES/end.json.
`unmounted`: the trail is of after the mount's end. Only then has it all refusals: of a message that was never whole
after its descriptor is closed, and of one caller's repeats a while later.
"""

import collections
import json
import re
import sys

import model
import records
from story import Story, Times

SHOWN = 30
# A retrieval that finds the token changed this many times in a row gives up.
TRIES = 8


class Judge:
    def __init__(self, diaries, trail):
        self.calls = records.read_diaries(diaries)
        self.notes = records.read_beside(diaries)
        self.trail = records.Trail(trail)
        imports = records.import_calls(self.notes)
        self.failures = list(self.trail.wrong)
        self.failures += records.assign(self.trail, self.calls, imports)
        self.all = list(self.calls.values()) + list(imports.values())
        self.stories = {call.device: Story() for call in self.all if call.device}
        self.counts = collections.Counter()

    def fail(self, call, claim, *more):
        self.failures.append("\n    ".join((str(call), claim, *map(str, more))))

    # ---- what left lines ----

    def replay(self):
        """Every call with lines, in the order of the trail, on the model."""
        lined = sorted((call for call in self.all if call.lines), key=lambda call: call.lines[0].seq)
        latest = None
        for call in lined:
            story = self.stories[call.device]
            first, last = call.lines[0].seq, call.lines[-1].seq
            if last - first != len(call.lines) - 1:
                self.fail(call, "what it did is not one transaction: other lines stand between its own", *call.lines)
            if latest and latest.begin > call.end:
                self.fail(call, "was acknowledged, and stands on the trail after a call that began later", latest)
            if not latest or call.begin > latest.begin:
                latest = call
            before = story.states[-1]
            lines, got = story.device.make(call)
            story.changed(call, last)
            self.counts[call.name] += 1
            if any(line.udid != call.device for line in call.lines):
                self.fail(call, "the trail has it under another device", *call.lines)
            said = [(line.action + (", a replay" if "a replay" in line.reason else ""), line.outcome, line.version)
                    for line in call.lines]
            if said != lines:
                self.fail(call, f"the trail should say {lines}", *call.lines, before)
            elif got != call.result and call.result != "killed":
                self.fail(call, f"should have got {got}", *call.lines, before)
        for story in self.stories.values():
            story.settle()

    def unlined(self):
        """Calls that left no line changed nothing."""
        looks = {name[5:]: getattr(self, name) for name in dir(self) if name.startswith("look_")}
        for call in filter(lambda call: call.name not in ("trail", "metrics"), self.all):
            look = looks.get(call.name.replace(" ", "_"))
            if look:
                self.counts[call.name] += 1
                look(call)
            elif not call.lines and call.result != "killed":
                self.counts[call.name + ", no line"] += 1
                self.is_silent(call)
            if call.name == "deny" and call.lines and not any(
                    state.row and model.may_read(state) for state in self.window(call)):
                self.fail(call, "retrieved what it may not read", *self.window(call))

    def window(self, call, begin=None):
        return self.stories[call.device].window(begin or call.begin, call.end)

    def is_silent(self, call):
        states = self.window(call)
        effects = self.stories[call.device].device.effects
        allowed = {model.silent(state, call, effects) for state in states}
        # Taken away and made anew between the kernel's lookup and the daemon's.
        if "ENOENT" in allowed or len({state.row for state in states}) > 1:
            allowed |= {"ENOENT", "ESTALE"}
        if call.result == "EAGAIN" and None in allowed and call.name in ("read", "deny", "get"):
            if sum(a.current != b.current for a, b in zip(states, states[1:])) >= TRIES:
                return
        if call.result not in allowed:
            should = sorted(f"get {got}" if got else "leave one" for got in allowed)
            self.fail(call, f"left no line on the trail; it should {' or '.join(should)}", *states)

    # ---- refusals ----

    def refusals(self):
        """What the filesystem refused is on the trail, once. (Some the kernel refuses, and nobody hears of it.)"""
        for call in self.all:
            if call.name == "refused counted":
                continue
            # On ESTALE the kernel looks the name up again, and tells what comes of that.
            errors = [line.outcome for line in call.refusals if line.outcome != "ESTALE"]
            if call.result in ("EINVAL", "EPERM", "ENOTEMPTY") and errors != [call.result]:
                self.fail(call, "its refusal should be on the trail, once", *call.refusals)
            elif len(errors) > 1 or errors and call.result not in (errors[0], "killed"):
                self.fail(call, "the trail has a refusal that it never heard of", *call.refusals)

    def counted_refusals(self):
        """Each of one caller's refusals has a line, or is counted in one."""
        made, told = collections.Counter(), collections.Counter()
        for call in self.all:
            if call.name == "refused counted" and call.result in ("EINVAL", "EPERM"):
                made[call.device, call.result] += 1
        for line in self.trail.lines:
            if line.command == "stress" and line.action == "refuse":
                more = re.search(r"\((\d+) times more within a minute\)$", line.reason)
                told[line.udid, line.outcome] += int(more[1]) if more else 1
        for device, error in sorted(made.keys() | told.keys()):
            if made[device, error] != told[device, error]:
                self.failures.append(f"{device}: {made[device, error]} calls of one caller were refused with {error}; "
                                     f"the trail has, or counts, {told[device, error]}")

    # ---- looks ----

    def look(self, call, sees, opened=None, lazy=True):
        """Some state that it may have met shows this; `sees` says what, None when nothing is there."""
        opened, story = opened or call, self.stories[call.device]
        states = story.window(opened.begin, call.end, lazy)
        shown = {sees(state) if state.row else None for state in states}
        moved = len({state.row for state in states}) > 1
        if call.result in shown or None in shown and call.result in ("ENOENT", "ESTALE") or \
                moved and call.result == "ESTALE":
            return
        # The one thing that isn't whole: a text of the page cache, read at the very moment of the first change of a
        # device after a quiet while. The kernel may know the size of another moment than the text's.
        if call.result.startswith("BROKEN") and len(states) > 1 and story.was_quiet(opened):
            self.counts[call.name + ", cut by a change"] += 1
            return
        self.fail(call, f"should show {' or '.join(sorted(str(s or 'ENOENT') for s in shown))}", *states)

    def look_status(self, call):
        self.look(call, lambda state: state.word)

    def look_open_status(self, call):
        self.look(call, lambda state: "ok")

    def look_status_again(self, call):
        opened = self.calls[f"s{call.who[7:]}.{call.argument}"]
        self.look(call, lambda state: state.word, opened)

    def look_read_again(self, call):
        opened = self.calls[f"s{call.who[7:]}.{call.argument}"]
        if call.result != opened.result:
            self.fail(call, "a descriptor reads what it was opened on", opened)

    def look_security(self, call):
        whole = call.result
        if whole.count(" ") == 7:
            call.result, size, length = whole.rsplit(" ", 2)
            states = self.stories[call.device].window(call.begin, call.end, lazy=True)
            if len(states) == 1 and size != length:
                self.fail(call, f"is {length} bytes, and its st_size says {size}", *states)
        approved = {None: "?", True: "1", False: "0"}
        self.look(call, lambda state: f"{state.word} {int(state.given)} {state.os or '?'} {approved[state.approved]} "
                                      f"{state.count} [{state.tail}]")
        call.result = whole

    def look_stat(self, call):
        shows = {
            ".": lambda state: "40750 0",
            "token": lambda state: f"100{state.mode:03o} {model.token_size(state.token)}",
            "bootstrap_status": lambda state: f"100440 {len(state.word) + 1}",
            "security.json": lambda state: f"100{state.security_mode:03o}",
        }
        whole = call.result
        if call.argument == "security.json":
            call.result = whole.split(" ")[0]
        # Of a token's attributes the kernel keeps none.
        self.look(call, shows[call.argument], lazy=call.argument != "token")
        call.result = whole

    def list_should_have(self, call, is_in):
        listed = collections.Counter(call.result.split(" ") if call.result else [])
        for name, story in self.stories.items():
            # A listing takes a while: a device that changed meanwhile may be in it or not.
            states = story.window(call.begin, call.end)
            there = {is_in(state) for state in states}
            if (name in listed) not in there and len(there) == 1:
                self.fail(call, f"{name} should {'' if there.pop() else 'not '}be in it", *states)
            # One that is made anew has a new place.
            if listed[name] > 1 and listed[name] > len({state.row for state in states}):
                self.fail(call, f"{name} stands {listed[name]} times in it", *states)
        for name in set(listed) - set(self.stories):
            self.fail(call, f"{name} was never made, or is of another type")

    def look_list(self, call):
        self.list_should_have(call, lambda state: bool(state.row))

    def look_list_status(self, call):
        self.list_should_have(call, lambda state: state.word == call.argument)

    def look_search(self, call):
        """Links may be a moment old: one that was right once is."""
        story = self.stories[call.device]
        found = (lambda state: state.serial) if call.argument == "serial" else (lambda state: bool(state.row))
        once = any(found(state) for state in story.window(-1, call.end))
        if call.result == "ENOENT":
            states = story.window(call.begin, call.end)
            if all(found(state) for state in states):
                self.fail(call, "should be found", *states)
        elif not once or call.result != f"../../devices/{call.device}":
            self.fail(call, "should lead to its device")

    # ---- the trail, as clients read it ----

    def trail_read(self):
        calls = [call for call in self.all if call.lines]
        calls.sort(key=lambda call: call.lines[-1].seq)
        times = Times([call.begin for call in calls], [call.end for call in calls])
        for call in self.calls.values():
            if call.name not in ("trail", "metrics"):
                continue
            self.counts[call.name] += 1
            last = times.last(times.ended, call.begin)
            least = calls[last].lines[-1] if last >= 0 else None
            if call.name == "trail":
                self.trail_piece(call, least)
            else:
                self.counters(call, least)

    def trail_piece(self, call, least):
        if len(call.result.split(" ")) != 5:
            self.fail(call, "should read the trail")
            return
        offset, length, crc, size, rest = call.result.split(" ")
        end = int(offset) + int(length)
        if self.trail.crc(int(offset), int(length)) != int(crc):
            self.fail(call, "read other bytes than are there")
        if rest == "end" and self.trail.bytes[end - 1:end] != b"\n":
            self.fail(call, "the trail ended within a line")
        if least and (int(size) < least.end or rest == "end" and end < least.end):
            self.fail(call, "a line of a call that was acknowledged before wasn't there yet", least)

    def counters(self, call, least):
        if len(call.result.split(" ")) != 3:
            self.fail(call, "should have counters")
            return
        devices, lines, size = map(int, call.result.split(" "))
        if not 0 < lines <= len(self.trail.lines) or self.trail.lines[lines - 1].end != size:
            self.fail(call, "the trail's lines and bytes don't go together")
        elif least and lines < least.seq:
            self.fail(call, "a line of a call that was acknowledged before isn't counted", least)
        elif devices != sum(bool(story.at(lines).row) for story in self.stories.values()):
            self.fail(call, f"there were {sum(bool(s.at(lines).row) for s in self.stories.values())} devices")

    # ---- what was done beside ----

    def beside(self):
        for note in self.notes:
            self.counts[note["what"]] += 1
            who = f"{note['what']}, process {note['pid']}"
            if note.get("failed"):
                self.failures.append(f"{who}: {note['failed']}")
            elif note["what"] == "status":
                words = collections.Counter(story.at(note["seq"]).word for story in self.stories.values())
                del words[None]
                if note["words"] != dict(words):
                    self.failures.append(f"{who}: at line {note['seq']} it says {note['words']}, should say {words}")
            elif note["what"] == "sealed":
                self.sealed(who, note)

    def sealed(self, who, note):
        """All of a sealed mount is of one moment: that of the last line of its trail."""
        for name, story in self.stories.items():
            state = story.at(note["seq"])
            past = state.count - bool(state.token) if state.row else 0
            should = {"word": state.word, "token": bool(state.token), "history": past, "removed": state.gone}
            got = note["devices"].get(name, {"word": None, "token": False, "history": 0, "removed": 0})
            if got != should:
                self.failures.append(f"{who}: {name} at line {note['seq']} of the trail: is {got}, should be {should}")
        for name, label in note["opened"].items():
            if label != self.stories[name].at(note["seq"]).token:
                self.failures.append(f"{who}: {name} at line {note['seq']}: its seal holds {label}, should hold "
                                     f"{self.stories[name].at(note['seq']).token}")

    def end(self):
        """What should be there now."""
        return {name: {"word": story.states[-1].word, "token": story.states[-1].token,
                       "versions": [[v.number, v.ended or "current", v.row != story.device.row]
                                    for v in story.device.versions]}
                for name, story in self.stories.items()}


def main():
    diaries, trail, *unmounted = sys.argv[1:]
    judge = Judge(diaries, trail)
    judge.replay()
    judge.unlined()
    if unmounted:
        judge.refusals()
        judge.counted_refusals()
    judge.trail_read()
    judge.beside()
    with open(f"{diaries}/end.json", "w", encoding="ascii") as file:
        json.dump(judge.end(), file)
    print(f"{len(judge.calls)} calls, {len(judge.trail.lines)} lines:",
          ", ".join(f"{n} {name}" for name, n in sorted(judge.counts.items())))
    if judge.failures:
        print(f"{len(judge.failures)} failures:")
        print(*judge.failures[:SHOWN], sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Devices over time: what the calls changed, in the order of the trail, and what a call may have met of it."""

import bisect

import model

# How long a device is quiet before the kernel keeps the pages of its files; a little less, since clocks differ.
QUIET = 1_950_000_000


def is_shown(call):
    """Does security.json show that it was made? Not a mode, nor a retrieval of nothing."""
    return call.name not in ("mode", "acl") and any(line.outcome == "ok" for line in call.lines)


class Times:
    """Which of a list of things were acknowledged before a moment, and which were begun."""

    def __init__(self, begins, ends):
        self.begun = self.indexes(begins)
        self.ended = self.indexes(ends)

    @staticmethod
    def indexes(moments):
        """Moments in order, and with each the highest index until then."""
        order = sorted((moment, i) for i, moment in enumerate(moments) if moment is not None)
        highest, top = [], -1
        for _, i in order:
            top = max(top, i)
            highest.append(top)
        return [moment for moment, _ in order], highest

    @staticmethod
    def last(indexes, moment):
        moments, highest = indexes
        n = bisect.bisect_left(moments, moment)
        return highest[n - 1] if n else -1


class Story:
    """What a name stood for, from one change to the next; the first state is before all changes."""

    def __init__(self):
        self.device = model.Device()
        self.calls, self.seqs, self.states = [], [], [self.device.state()]

    def changed(self, call, seq):
        self.calls.append(call)
        self.seqs.append(seq)
        self.states.append(self.device.state())

    def settle(self):
        begins = [call.begin for call in self.calls]
        self.strict = Times(begins, [call.end for call in self.calls])
        self.lazy = Times(begins, [None if call.lazy else call.end for call in self.calls])

    def window(self, begin, end, lazy=False):
        """The states that a call between these moments may have met."""
        times = self.lazy if lazy else self.strict
        first = times.last(times.ended, begin) + 1
        last = times.last(times.begun, end) + 1
        return self.states[first:max(first, last) + 1]

    def was_quiet(self, opened):
        """Nothing that was acknowledged before it was opened is so young that it would be read past the page cache."""
        return not any(call.end < opened.begin and call.begin > opened.end - QUIET and is_shown(call)
                       for call in self.calls)

    def at(self, seq):
        return self.states[bisect.bisect_right(self.seqs, seq)]

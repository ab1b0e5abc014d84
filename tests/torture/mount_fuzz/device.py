"""A device and its tokens: what each event changes, and the lines that it leaves on the trail."""

import rules


class Version:
    def __init__(self, number, token):
        self.number, self.token = number, token
        self.ended, self.renewal, self.confirmed = "", "", False


class Device:
    """A row: taken away and made again under its name it is another one. Refusals are errnos' names."""

    def __init__(self, escrow, name, user_enrolled=False):
        self.escrow, self.name, self.user_enrolled = escrow, name, user_enrolled
        self.there = True
        self.facts, self.out_of_date = {}, {}
        self.versions, self.current = [], None
        self.enrolled_at = self.reenrolled_at = 0
        self.unenrolled = False
        self.identity = ""
        self.seen = set()  # EnrolledAt and the like, as security.json has them
        self.reports = False

    def record(self, action, outcome="ok", version=0):
        self.escrow.record(action, outcome, self.name, version)

    def word(self):
        if self.unenrolled:
            return "unenrolled"
        if self.current:
            return "stale" if self.current.renewal == "set up" else "escrowed"
        return rules.missing(self.facts, self.user_enrolled)[0] or "not_escrowed"

    def status(self):
        return self.word().encode() + b"\n"

    # ---- facts ----

    def merge(self, facts, by_hand=False):
        news = False
        for name, value in facts.items():
            changed = name in self.out_of_date or self.facts.get(name) != value
            self.reports = self.reports or changed or not by_hand
            news = news or changed
            self.out_of_date.pop(name, None)
            self.facts.pop(name, None)
            if value is not None:
                self.facts[name] = value
        if news:
            self.record("facts")

    def proves(self):
        """It escrows by itself, so what says that it can't is out of date."""
        before = len(self.out_of_date)
        while True:
            wrong = [name for name in rules.missing(self.facts, self.user_enrolled)[1] if name in self.facts]
            if not wrong:
                break
            for name in wrong:
                self.out_of_date[name] = self.facts.pop(name)
        if len(self.out_of_date) > before:
            self.record("facts")

    # ---- tokens ----

    def put(self, token):
        """What can be taken back: (added, ended)."""
        current = self.current
        if current and current.token == token:
            current.renewal, current.confirmed = "", True
            self.record("confirm", version=current.number)
            return None, None
        if current:
            current.ended = "replaced"
        self.current = Version(self.escrow.next_number(self.name), token)
        self.versions.append(self.current)
        self.record("escrow", version=self.current.number)
        return self.current, current

    def remove(self):
        ended, self.current = self.current, None
        if ended:
            ended.ended = "removed"
            self.record("remove", version=ended.number)
        return None, ended

    def by_hand(self, token):
        """An errno's name, or what can be taken back."""
        if not self.there:
            return "ESTALE"
        if token is None:
            return self.remove()
        if rules.missing(self.facts, self.user_enrolled)[0]:
            return "EPERM"
        return self.put(token)

    def undo(self, added, ended):
        if not added and not ended:
            return None
        if not self.there:
            return "ESTALE"
        if added and (self.current is not added or added.confirmed):
            return None
        if not added and (self.current or self.versions[-1] is not ended):
            return None
        if added:
            added.ended = "undone"
        self.current = ended
        if ended:
            ended.ended = ""
        self.record("undo", version=(added or ended).number)
        return None

    def retrieve(self):
        if self.current:
            self.seen.add("RetrievedAt")
        self.record("retrieve", "ok" if self.current else "none", self.current.number if self.current else 0)
        return self.current.token if self.current else None

    # ---- messages ----

    def note_identity(self, identity):
        if identity and identity != self.identity:
            self.identity = identity
            self.record("identity")

    def on_authenticate(self, message):
        self.merge(message.facts)
        now = self.escrow.tick()
        renews = bool(self.enrolled_at)
        if not renews:
            self.enrolled_at = now
            self.seen.add("EnrolledAt")
        if self.current and not self.current.renewal:
            # A token that came before the first Authenticate counts, too.
            self.current.renewal, renews = "authenticated", True
        if renews:
            self.reenrolled_at = now
            self.seen.add("ReenrolledAt")
        self.record("enrol")

    def on_token_update(self, message):
        news = not self.enrolled_at or self.unenrolled
        if not self.enrolled_at:
            self.enrolled_at = self.escrow.tick()
            self.seen.add("EnrolledAt")
        self.unenrolled = False
        current = self.current
        if message.awaiting and current and current.renewal == "authenticated":
            current.renewal = "set up"
            news = True
        if news:
            self.record("enrol")

    def on_check_out(self, message):
        if not self.unenrolled:
            self.unenrolled = True
            self.seen.add("CheckedOutAt")
            self.record("check out")

    def on_set(self, message):
        was_unenrolled, self.unenrolled = self.unenrolled, False
        if message.token is not None:
            self.proves()
            self.put(message.token)
        elif not self.remove()[1] and was_unenrolled:
            self.record("enrol")

    def on_facts(self, message):
        self.merge(message.facts)
        if message.preflight and self.current:
            if self.current.renewal:
                # It was enrolled anew since, and that doesn't count any more.
                self.record("facts")
            self.current.renewal = ""
            self.seen.add("ProvenAt")

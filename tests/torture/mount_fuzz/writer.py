"""What is written to one descriptor: gathered until a message is whole, then acted on; the verdict stays."""

import texts

LIMIT = {"token": 65536, "security": 65536, "checkin": 1 << 20}
TAKES = {"token": ("unknown", "base64", "xml", "binary"), "security": ("unknown", "json"),
         "checkin": ("unknown", "xml", "binary", "json")}


class Writer:
    def __init__(self, escrow, target, device, readable):
        self.escrow, self.target, self.device, self.readable = escrow, target, device, readable
        self.state, self.verdict = "empty", None
        self.text, self.written = b"", 0
        self.effect = (None, None)
        self.reply = b""

    def refuse(self, errno):
        self.state, self.verdict = "refused", errno
        self.reply = None  # a sentence
        return errno

    # ---- write ----

    def write(self, data, offset):
        if self.state == "refused":
            return self.verdict
        more = self.state == "done" and data.strip(texts.BLANK)
        if offset != self.written or more:
            undone = self.device.undo(*self.effect) if self.state == "done" and self.target == "token" else None
            return self.refuse(undone or "EINVAL")
        if self.state == "done" or not data:
            self.written += len(data)
            return None
        self.text += data
        newline = data.endswith(b"\n")
        longest = LIMIT[self.target] + (self.target == "token" and newline)
        if len(self.text) > longest:
            return self.refuse("EFBIG")
        self.written += len(data)
        self.state = "gathering"
        return self.complete(newline)

    def complete(self, newline):
        form, headers = self.form()
        if form not in TAKES[self.target]:
            return self.refuse("EINVAL")
        end = 0
        if form in ("xml", "json"):
            end = (texts.xml_end if form == "xml" else texts.json_end)(self.text[headers:])
            end += headers if end else 0
        elif form == "binary" and self.target == "checkin":
            whole = texts.whole(self.text)
            end = self.text.index(whole) + len(whole) if whole else 0
        elif form in ("unknown", "base64") and self.target == "token" and newline:
            end = len(self.text)
        return self.act(end) if end else None

    def form(self):
        """And where the message begins behind header lines."""
        if self.target != "checkin":
            return texts.form(self.text), 0
        headers = texts.headers_end(self.text)
        return ("unknown", 0) if headers is None else (texts.form(self.text[headers:]), headers)

    # ---- acting ----

    def act(self, end):
        if self.text[end:].strip(texts.BLANK):
            return self.refuse("EINVAL")
        verdict = getattr(self, "act_on_" + self.target)(self.text[:end])
        if verdict:
            return self.refuse(verdict)
        self.state = "done"
        return None

    def act_on_token(self, text):
        form = texts.form(text)
        if form in ("xml", "binary"):
            message = texts.meaning(text)
            if not message or message.kind != "Set" or message.user_channel:
                return "EINVAL"
            token, names = message.token, message.udid
        else:
            token, names = texts.strict_base64(text), ""
            if token is None:
                return "EINVAL"
        if not self.device.there:
            return "ESTALE"
        if names and names.lower() != self.device.name.lower():
            return "EINVAL"
        effect = self.device.by_hand(token)
        if isinstance(effect, str):
            return effect
        self.effect = effect
        return None

    def act_on_security(self, text):
        if not self.device.there:
            return "ESTALE"
        facts = texts.read_security(text, self.device.name)
        if facts is None:
            return "EINVAL"
        self.device.merge(facts, by_hand=True)
        return None

    def act_on_checkin(self, text):
        message = texts.meaning(text)
        if not message:
            return "EINVAL"
        verdict, self.reply = self.escrow.check_in(message, self.readable)
        return verdict

    # ---- the rest ----

    def flush(self):
        if self.state == "refused":
            return self.verdict
        if self.state != "gathering":
            return None
        if self.target == "token" and self.form()[0] != "xml":
            return self.act(len(self.text))
        return "EINVAL"

    def truncate(self, length):
        if self.state == "refused":
            return self.verdict
        if length != self.written:
            return "EINVAL"
        if not length and self.target == "token":
            effect = self.device.by_hand(None)
            return effect if isinstance(effect, str) else None
        return None

    def read_all(self):
        """What is left of the reply: an errno's name; bytes; what its property list says; None for a sentence that
        says why the message was refused."""
        if self.state == "gathering" and self.form()[0] == "binary":
            self.act(len(self.text))
        if self.state in ("empty", "gathering"):
            return "EINVAL"
        reply, self.reply = self.reply, b""
        return reply

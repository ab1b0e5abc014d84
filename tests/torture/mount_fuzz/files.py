"""Open files: what each descriptor reads, and what becomes of what is written to it."""

import texts
from gate import READ, WRITE
from tree import NOT_DONE, USERS, Check, Handle, Refusal, Tree, wrong_reply
from writer import Writer


class Files(Tree):
    def open(self, who, path, flags):
        node = self.at(who, path)
        flags = flags.split(",")
        readable, writable = "r" in flags[0], "w" in flags[0]
        changes = writable or "trunc" in flags
        if node.link or node.is_directory():
            raise Refusal("EISDIR")
        want = (READ if readable else 0) | (WRITE if changes else 0)
        if not self.access(node).may(USERS[who], want):
            raise Refusal("EACCES")
        if changes and not node.target():
            raise Refusal("EPERM")
        if changes and "append" in flags:
            raise Refusal("EINVAL")
        handle = Handle(node, readable, writable)
        if writable:
            handle.writer = Writer(self, node.target(), node.device, readable)
        if readable and node.file == "token":
            token = node.device.retrieve()
            handle.content = texts.line(token) if token is not None else b""
        elif node.file == "bootstrap_status":
            handle.content = node.device.status()
        return handle

    def do_open(self, who, slot, path, flags):
        if self.handle(who, slot):
            return NOT_DONE
        self.slots[who, slot] = self.open(who, path, flags)
        return None

    def do_read(self, who, slot, size):
        handle = self.handle(who, slot)
        if not handle or handle.node.target() not in ("token", "checkin"):
            return NOT_DONE
        if not handle.readable:
            return "EBADF"
        if handle.node.target() == "checkin" and size < 4096:
            return NOT_DONE  # how long the rest of a reply is, the model doesn't know
        if handle.node.target() == "token":
            part = handle.content[handle.position:handle.position + size]
            handle.position += len(part)
            return part
        return self.read_reply(handle)

    def read_reply(self, handle):
        """All that is left of it."""
        if not handle.writer:
            return "EINVAL"
        got = handle.writer.read_all()
        if isinstance(got, str):
            return got

        def after(text):
            handle.position += len(text)
        return Check(lambda text: wrong_reply(text, got), after)

    def do_pread(self, who, slot, size, offset):
        handle = self.handle(who, slot)
        if handle and handle.node.file == "bootstrap_status":
            # What it said when it was opened, or what it says now.
            says = [handle.content, handle.node.device.status()]
            says = [text[offset:offset + size] for text in says]
            return Check(lambda got: None if got in says else f"it says one of {says}")
        if not handle or handle.node.target() not in ("token", "checkin"):
            return NOT_DONE
        if handle.node.path == "/checkin" and handle.readable:
            return "ESPIPE"
        return handle.content[offset:offset + size] if handle.readable else "EBADF"

    def do_write(self, who, slot, data):
        handle = self.handle(who, slot)
        if not handle or not data:
            return NOT_DONE
        if not handle.writable:
            return "EBADF"
        verdict = handle.writer.write(data, handle.position)
        if verdict:
            return verdict
        handle.position += len(data)
        return len(data)

    def do_pwrite(self, who, slot, data, offset):
        handle = self.handle(who, slot)
        if not handle or not data:
            return NOT_DONE
        if handle.node.path == "/checkin" and handle.readable:
            return "ESPIPE"  # a stream, with a reply in it
        if not handle.writable:
            return "EBADF"
        return handle.writer.write(data, offset) or len(data)

    def do_sendfile(self, who, slot):
        """Past a descriptor's own reads, through the page cache: no byte of a token comes out there."""
        handle = self.handle(who, slot)
        if not handle or handle.node.target() != "token":
            return NOT_DONE
        if not handle.readable:
            return "EBADF"
        return Check(lambda got: None if got in ("EIO", 0) else "a token leaves through the page cache")

    def do_dup(self, who, slot, other):
        handle = self.handle(who, slot)
        if not handle or self.handle(who, other):
            return NOT_DONE
        self.slots[who, other] = handle
        return None

    def do_close(self, who, slot):
        handle = self.slots.pop((who, slot), None)
        if not handle:
            return NOT_DONE
        return handle.writer.flush() if handle.writer else None

    def do_truncate(self, who, path, size):
        node = self.at(who, path)
        if node.link or node.is_directory():
            return "EISDIR"
        if not self.access(node).may(USERS[who], WRITE):
            return "EACCES"
        if not node.target():
            return "EPERM"
        if node.target() != "token" or size:
            return "EINVAL"
        node.device.by_hand(None)
        return None

    def do_ftruncate(self, who, slot, size):
        handle = self.handle(who, slot)
        if not handle:
            return NOT_DONE
        if not handle.writable:
            return "EINVAL"
        if handle.node.device and not handle.node.device.there:
            return "ESTALE"
        if size or handle.node.target() == "token":
            return handle.writer.truncate(size)
        return "EINVAL"

"""The contract as a program: a whole mount, and what each call on it answers.

Every operation is a method of Mount, which is given the caller and says what the call should return: a value, the
name of an errno, or a Check, which looks at what was returned. Nothing here knows how escrowfs does it.
"""

import security
import texts
from files import Files
from gate import READ, SEARCH, WRITE, acl_bytes, acl_is_valid
from tree import ANYTHING, USERS, Check, wrong_reply


class Mount(Files):
    # ---- devices ----

    def do_mkdir(self, who, path):
        directory, name = self.parent(who, path)
        if self.child(directory, name):
            return "EEXIST"
        if not self.access(directory).may(USERS[who], WRITE | SEARCH):
            return "EACCES"
        if directory.path != "/devices":
            return "EPERM"
        if name not in texts.UDIDS + texts.OTHER_CASES:
            return "EINVAL"
        if self.find(name):
            return "EEXIST"
        self.add(name)
        self.record("device", "ok", name, 0)
        return None

    def do_rmdir(self, who, path):
        directory, name = self.parent(who, path)
        node = self.child(directory, name)
        if not node:
            return "ENOENT"
        if not self.access(directory).may(USERS[who], WRITE | SEARCH):
            return "EACCES"
        if not node.is_directory():
            return "ENOTDIR"
        if directory.path != "/devices":
            return "EPERM"
        if node.device.current:
            return "ENOTEMPTY"
        node.device.there = False
        del self.devices[name]
        self.settings = {key: s for key, s in self.settings.items() if key[0] is not node.device}
        self.record("device", "ok", name, 0)
        return None

    def do_unlink(self, who, path):
        directory, name = self.parent(who, path)
        node = self.child(directory, name)
        if not node:
            return "ENOENT"
        if not self.access(directory).may(USERS[who], WRITE | SEARCH):
            return "EACCES"
        return "EISDIR" if node.is_directory() else "EPERM"

    def do_rename(self, who, path):
        directory, name = self.parent(who, path)
        if not self.child(directory, name):
            return "ENOENT"
        return "EPERM" if self.access(directory).may(USERS[who], WRITE | SEARCH) else "EACCES"

    def do_create(self, who, path):
        directory, name = self.parent(who, path)
        if self.child(directory, name):
            return "EEXIST"
        return "EPERM" if self.access(directory).may(USERS[who], WRITE | SEARCH) else "EACCES"

    do_symlink = do_create

    # ---- owners, modes, ACLs ----

    def set(self, node, access):
        self.settings[node.key()] = access
        policy = not node.device and node.path.startswith("/policy/")
        self.record("policy" if policy else "mode", "ok", node.device.name if node.device else None, 0)

    def do_chmod(self, who, path, mode):
        node = self.at(who, path)
        access = self.access(node)
        if not access.owned_by(USERS[who]) or mode > 0o777:
            return "EPERM"
        self.set(node, access.chmod(mode))
        return None

    def do_chown(self, who, path, uid, gid):
        node = self.at(who, path)
        access = self.access(node)
        if not access.may_chown(USERS[who], uid, gid):
            return "EPERM"
        self.set(node, access.chown(uid, gid))
        return None

    def do_utime(self, who, path):
        self.at(who, path)
        return "EPERM"

    def do_setacl(self, who, path, entries):
        node = self.at(who, path)
        access = self.access(node)
        if not access.owned_by(USERS[who]):
            return "EPERM"
        if entries and not acl_is_valid(entries):
            return "EINVAL"
        self.set(node, access.set_acl(entries))
        return None

    # ---- looking ----

    def do_stat(self, who, path):
        """What it is; mode, uid, gid, ACL; the size of what has one that is known."""
        node = self.at(who, path)
        if node.link:
            return "link", len(node.link)
        access = self.access(node)
        size = None
        if node.file == "token":
            size = len(texts.line(node.device.current.token)) if node.device.current else 0
        elif node.file == "bootstrap_status":
            size = len(node.device.status())
        kind = "directory" if node.is_directory() else "file"
        return kind, access.mode, access.uid, access.gid, acl_bytes(access.acl) if access.acl else b"", size

    def do_listdir(self, who, path):
        node = self.at(who, path)
        if not node.is_directory():
            return "ENOTDIR"
        return self.listing(node) if self.access(node).may(USERS[who], READ) else "EACCES"

    def do_readlink(self, who, path):
        node = self.at(who, path)
        return node.link or "EINVAL"

    # ---- whole programs ----

    def do_cat(self, who, path):
        handle = self.open(who, path, "r")
        node = handle.node
        if node.file == "security.json":
            return Check(lambda text: text if isinstance(text, str) else security.differs(text, node.device))
        if node.file == "bootstrap_status":
            return handle.content
        if node.file == "token":
            return handle.content
        if node.path == "/checkin":
            return "EINVAL"
        return b"" if node.path.startswith("/policy/") else ANYTHING

    def do_put(self, who, path, flags, pieces):
        """What the last write(2) and then close(2) answered."""
        handle = self.open(who, path, flags)
        verdict = None
        for piece in pieces:
            verdict = verdict or handle.writer.write(piece, handle.writer.written)
        return verdict, handle.writer.flush()

    def do_say(self, who, pieces):
        """A check-in: what the last write(2) answered, and the reply or why there is none."""
        writer = self.open(who, "/checkin", "rw").writer
        verdict = None
        for piece in pieces:
            verdict = verdict or writer.write(piece, writer.written)
        reply = writer.read_all()
        if isinstance(reply, str):
            return verdict, reply

        def look(got):
            if not isinstance(got, tuple) or got[0] != verdict:
                return f"it should be {verdict} and a reply"
            return wrong_reply(got[1], reply)
        return Check(look)

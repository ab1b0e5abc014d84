"""The kernel's gate, as path_resolution(7), acl(5), chmod(2) and chown(2) have it: owner, mode and ACL of a node,
and what a user may do with it."""

import collections
import struct

User = collections.namedtuple("User", "uid gid groups")
ROOT = User(0, 0, ())

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF
READ, WRITE, SEARCH = 4, 2, 1


def acl_bytes(entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def acl_is_valid(entries):
    tags = [entry[0] for entry in entries]
    named = USER in tags or GROUP in tags
    return all(tag in tags for tag in (USER_OBJ, GROUP_OBJ, OTHER)) and (MASK in tags or not named)


class Access(collections.namedtuple("Access", "uid gid mode acl", defaults=(0, 0, 0, ()))):
    """acl: entries (tag, permissions, id); () when there is none."""

    def chmod(self, mode):
        bits = {USER_OBJ: mode >> 6 & 7, OTHER: mode & 7,
                (MASK if any(e[0] == MASK for e in self.acl) else GROUP_OBJ): mode >> 3 & 7}
        return self._replace(mode=mode, acl=tuple((tag, bits.get(tag, p), i) for tag, p, i in self.acl))

    def chown(self, uid, gid):
        return self._replace(uid=self.uid if uid < 0 else uid, gid=self.gid if gid < 0 else gid)

    def set_acl(self, entries):
        if not entries:
            return self._replace(acl=())
        bits = {tag: p for tag, p, _ in entries}
        mode = bits[USER_OBJ] << 6 | bits.get(MASK, bits[GROUP_OBJ]) << 3 | bits[OTHER]
        return self._replace(mode=mode, acl=() if len(entries) == 3 else tuple(entries))

    # ---- who may ----

    def owned_by(self, user):
        return user.uid in (0, self.uid)

    def may(self, user, want):
        if user.uid == 0:
            return True  # files here have no x, and for directories root has all
        groups = (user.gid, *user.groups)
        if user.uid == self.uid:
            bits = self.mode >> 6
        elif self.acl and self.mode & 0o070:  # the kernel looks into no ACL whose mask is empty
            return self.may_by_acl(user, groups, want)
        else:
            bits = self.mode >> 3 if self.gid in groups else self.mode
        return bits & want == want

    def may_by_acl(self, user, groups, want):
        mask = [p for tag, p, _ in self.acl if tag == MASK]
        mask = mask[0] if mask else 7
        for tag, p, i in self.acl:
            if tag == USER and i == user.uid:
                return p & mask & want == want
        mine = [p for tag, p, i in self.acl
                if tag == GROUP_OBJ and self.gid in groups or tag == GROUP and i in groups]
        if mine:
            return any(p & mask & want == want for p in mine)
        return any(p & want == want for tag, p, _ in self.acl if tag == OTHER)

    def may_chown(self, user, uid, gid):
        if user.uid == 0:
            return True
        return user.uid == self.uid and uid in (-1, self.uid) and gid in (-1, self.gid, user.gid, *user.groups)

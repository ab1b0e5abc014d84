/*
 * POSIX ACLs, which Linux passes on as two extended attributes. The kernel reads them here, keeps
 * them as long as the inode's attributes, and decides by them. There are no other extended
 * attributes.
 */
#include "changes.h"
#include "inside.h"

#include <errno.h>
#include <string.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

static bool is_acl(const char *name, bool *is_default)
{
	*is_default = strcmp(name, ACL_DEFAULT) == 0;
	return *is_default || strcmp(name, ACL_ACCESS) == 0;
}

static enum error access_of(struct fs *fs, fuse_ino_t number, struct access *out)
{
	struct node node;
	TRY(node_find(fs, number, &node));
	/* Most nodes have none, and `ls -l` asks each. */
	if (node.kind == KIND_LINK) {
		out->acl_len = out->default_len = 0;
		return OK;
	}
	struct access_node access = node_access(&node);
	struct owner owner;
	TRY(escrow_owner(fs->escrow, &access, &owner));
	out->acl_len = out->default_len = 0;
	return owner.lists ? escrow_access(fs->escrow, &access, out) : OK;
}

/* The caller asks how much there is, or for all of it. */
static void reply_value(fuse_req_t req, const void *value, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	struct access access;
	bool is_default;
	if (!is_acl(name, &is_default)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	enum error result = access_of(fs_of(req), number, &access);
	size_t len = result ? 0 : is_default ? access.default_len : access.acl_len;
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else if (!len)
		fuse_reply_err(req, ENODATA);
	else
		reply_value(req, is_default ? access.default_acl : access.acl, len, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	struct access access;
	enum error result = access_of(fs_of(req), number, &access);
	if (result) {
		fuse_reply_err(req, reply_errno(result));
		return;
	}
	char names[sizeof ACL_ACCESS + sizeof ACL_DEFAULT];
	size_t len = 0;
	if (access.acl_len) {
		memcpy(names, ACL_ACCESS, sizeof ACL_ACCESS);
		len = sizeof ACL_ACCESS;
	}
	if (access.default_len) {
		memcpy(names + len, ACL_DEFAULT, sizeof ACL_DEFAULT);
		len += sizeof ACL_DEFAULT;
	}
	reply_value(req, names, len, size);
}

static enum error set(struct fs *fs, fuse_ino_t number, const struct actor *actor, bool is_default,
		      const void *acl, size_t len)
{
	struct node node;
	TRY(node_find(fs, number, &node));
	if (node.kind == KIND_LINK)
		return escrow_refuse(fs->escrow, actor, node_udid(&node),
				     fail(ERR_FORBIDDEN, "a link in /search has no ACL"));
	struct access_node access = node_access(&node);
	access.path = node_path(&node);
	TRY(escrow_set_acl(fs->escrow, actor, &access, is_default, acl, len));
	changes_access(fs->changes, &node);
	return OK;
}

static void set_and_answer(fuse_req_t req, fuse_ino_t number, const char *name, const void *acl,
			   size_t len)
{
	struct fs *fs = fs_of(req);
	bool is_default;
	if (!is_acl(name, &is_default)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	struct actor actor;
	actor_of(req, &actor);
	struct reply reply = reply_error(set(fs, number, &actor, is_default, acl, len));
	changes_answer(fs->changes, req, &reply);
}

void op_setxattr(fuse_req_t req, fuse_ino_t number, const char *name, const char *value,
		 size_t size, int flags)
{
	(void)flags;
	set_and_answer(req, number, name, value, size);
}

void op_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	set_and_answer(req, number, name, NULL, 0);
}

/*
 * Owners, modes and ACLs. The kernel decides who may open (default_permissions, POSIX ACLs); here
 * is only what it decides by. A node has its own setting, else that of its policy, else the
 * table's mode and the owner of the mount. Setting anything pins the node: its owner, group, mode
 * and ACL as they then stand are its own from there on.
 */
#include "acl.h"
#include "inside.h"
#include "told.h"

#include <stdio.h>
#include <string.h>

#define PERMISSIONS 0777u

/* What a node has that nobody ever set. */
static struct owner start_of(const struct escrow *escrow, const struct access_node *node)
{
	return (struct owner){.uid = escrow->uid, .gid = escrow->gid, .mode = node->mode};
}

enum error access_effective(struct tx *tx, const struct escrow *escrow,
			    const struct access_node *node, struct access *out)
{
	enum error found = store_access(tx, node->node, out);
	if (found == ERR_NOT_FOUND && node->policy)
		found = store_access(tx, node->policy, out);
	if (found != ERR_NOT_FOUND)
		return found;
	*out = (struct access){.owner = start_of(escrow, node)};
	return OK;
}

enum error escrow_access(struct escrow *escrow, const struct access_node *node, struct access *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	return access_effective(tx, escrow, node, out);
}

/* ---- settings that are asked for all the time ---- */

static bool take_down(void *context, uint64_t node, const struct owner *owner)
{
	struct owners *owners = context;
	owners->set[node] = true;
	owners->of[node] = *owner;
	return true;
}

enum error owners_load(struct escrow *escrow)
{
	struct owners owners = {0};
	/* Who reads later has the newer ones, and puts them down later. */
	pthread_mutex_lock(&escrow->owners_mutex);
	struct tx *tx = NULL;
	enum error result = store_view(escrow->store, &tx);
	if (!result)
		result = store_owners(tx, OWNERS, take_down, &owners);
	store_view_scoped(&tx);
	if (!result)
		escrow->owners = owners;
	pthread_mutex_unlock(&escrow->owners_mutex);
	return result;
}

/* One of the tree's own nodes. */
static bool fixed_owner(struct escrow *escrow, uint64_t node, struct owner *out)
{
	pthread_mutex_lock(&escrow->owners_mutex);
	bool there = node < OWNERS && escrow->owners.set[node];
	if (there)
		*out = escrow->owners.of[node];
	pthread_mutex_unlock(&escrow->owners_mutex);
	return there;
}

static enum error own_owner(struct escrow *escrow, uint64_t node, struct owner *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_look(escrow->store, &tx));
	return store_owner(tx, node, out);
}

enum error escrow_owner(struct escrow *escrow, const struct access_node *node, struct owner *out)
{
	if (node->pinned) {
		enum error found = own_owner(escrow, node->node, out);
		if (found != ERR_NOT_FOUND)
			return found;
	}
	if (!fixed_owner(escrow, node->policy ? node->policy : node->node, out))
		*out = start_of(escrow, node);
	return OK;
}

/* ---- changing ---- */

enum setting { SET_MODE, SET_OWNER, SET_ACL, SET_DEFAULT_ACL };

struct job {
	struct escrow *escrow;
	const struct actor *actor;
	const struct access_node *node;
	enum setting setting;
	uint32_t mode, uid, gid;
	const void *acl;
	size_t len;
};

/*
 * As the kernel does for tmpfs: an ACL that says no more than mode bits becomes these, and without
 * one they stay.
 */
static void set_acl(struct access *access, const struct job *job)
{
	access->acl_len = 0;
	if (!job->len)
		return;
	access->owner.mode = acl_mode(job->acl, job->len);
	if (acl_is_mode(job->acl, job->len))
		return;
	memcpy(access->acl, job->acl, job->len);
	access->acl_len = (uint16_t)job->len;
}

/* What the trail says of it; the setting as it is afterwards. */
static void describe(const struct job *job, const struct access *before, const struct access *after,
		     char *out, size_t size)
{
	const char *path = job->node->path;
	switch (job->setting) {
	case SET_MODE:
		snprintf(out, size, "%s: mode %04o, before %04o", path, after->owner.mode,
			 before->owner.mode);
		break;
	case SET_OWNER:
		snprintf(out, size, "%s: owner %u:%u, before %u:%u", path, after->owner.uid,
			 after->owner.gid, before->owner.uid, before->owner.gid);
		break;
	case SET_ACL:
		snprintf(out, size, "%s: %s, mode %04o, before %04o", path,
			 after->acl_len ? "an ACL" : "no ACL", after->owner.mode,
			 before->owner.mode);
		break;
	case SET_DEFAULT_ACL:
		snprintf(out, size, "%s: %s", path,
			 after->default_len ? "a default ACL" : "no default ACL");
		break;
	}
}

enum error access_say_now(uint64_t node, const struct access *access, char *out, size_t size)
{
	char now[MENTION_TEXT];
	size_t n = strlen(out);
	TRY(told_setting(access, now));
	snprintf(out + n, size - n, SAYS_INODE "%llu" SAYS_IS_NOW "%s", (unsigned long long)node,
		 now);
	return OK;
}

static void set(struct access *access, const struct job *job)
{
	switch (job->setting) {
	case SET_MODE:
		access->owner.mode = job->mode & PERMISSIONS;
		if (access->acl_len)
			acl_chmod(access->acl, access->acl_len, access->owner.mode);
		break;
	case SET_OWNER:
		if (job->uid != UINT32_MAX)
			access->owner.uid = job->uid;
		if (job->gid != UINT32_MAX)
			access->owner.gid = job->gid;
		break;
	case SET_ACL:
		set_acl(access, job);
		break;
	case SET_DEFAULT_ACL:
		if (job->len)
			memcpy(access->default_acl, job->acl, job->len);
		access->default_len = (uint16_t)job->len;
		break;
	}
}

/* A device whose file changed has changed: the kernel must forget what it knows of it. */
static enum error touch_device(struct tx *tx, const struct access_node *node)
{
	if (!node->udid)
		return OK;
	struct device device;
	TRY(store_device_named(tx, node->udid, &device));
	return store_device_save(tx, &device);
}

static enum error access_apply(struct tx *tx, void *context)
{
	const struct job *job = context;
	const struct access_node *node = job->node;
	struct access before, after;
	TRY(access_effective(tx, job->escrow, node, &before));
	after = before;
	set(&after, job);
	int64_t now = time_now();
	after.owner.changed_at = time_later(before.owner.changed_at, now);
	TRY(store_access_save(tx, node->node, &after));
	TRY(touch_device(tx, node));
	char reason[512];
	describe(job, &before, &after, reason, sizeof reason);
	TRY(access_say_now(node->node, &after, reason, sizeof reason));
	bool policy = strncmp(node->path, "/policy/", 8) == 0;
	return trail_add(tx, job->escrow,
			 &(struct event){.at = now,
					 .action = policy ? ACTION_POLICY : ACTION_MODE,
					 .outcome = "ok",
					 .udid = node->udid,
					 .actor = job->actor,
					 .reason = reason});
}

static enum error change(struct escrow *escrow, const struct job *job)
{
	struct job copy = *job;
	enum error result = store_change(escrow->store, access_apply, &copy);
	if (!result && job->node->node < OWNERS)
		result = owners_load(escrow);
	return escrow_refuse(escrow, job->actor, job->node->udid, result);
}

enum error escrow_chmod(struct escrow *escrow, const struct actor *actor,
			const struct access_node *node, uint32_t mode)
{
	if (mode & ~PERMISSIONS)
		return escrow_refuse(escrow, actor, node->udid,
				     fail(ERR_FORBIDDEN,
					  "%s: setuid, setgid and sticky bits mean nothing here; "
					  "set permissions only",
					  node->path));
	struct job job = {
		.escrow = escrow, .actor = actor, .node = node, .setting = SET_MODE, .mode = mode};
	return change(escrow, &job);
}

enum error escrow_chown(struct escrow *escrow, const struct actor *actor,
			const struct access_node *node, uint32_t uid, uint32_t gid)
{
	struct job job = {.escrow = escrow,
			  .actor = actor,
			  .node = node,
			  .setting = SET_OWNER,
			  .uid = uid,
			  .gid = gid};
	return change(escrow, &job);
}

enum error escrow_set_acl(struct escrow *escrow, const struct actor *actor,
			  const struct access_node *node, bool is_default, const void *acl,
			  size_t len)
{
	enum error wrong = OK;
	if (len > STORE_ACL_MAX)
		wrong = fail(ERR_TOO_BIG, "%s: an ACL of %zu bytes; at most %d", node->path, len,
			     STORE_ACL_MAX);
	else if (is_default && len && !node->directory)
		wrong = fail(ERR_FORBIDDEN, "%s: only directories have a default ACL", node->path);
	else if (len)
		wrong = acl_check(acl, len);
	if (wrong)
		return escrow_refuse(escrow, actor, node->udid, wrong);
	struct job job = {.escrow = escrow,
			  .actor = actor,
			  .node = node,
			  .setting = is_default ? SET_DEFAULT_ACL : SET_ACL,
			  .acl = acl,
			  .len = len};
	return change(escrow, &job);
}

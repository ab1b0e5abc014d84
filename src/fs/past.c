/*
 * The past, in sealed mounts: /devices/UDID/history and /removed/UDID/history hold one PEM for each
 * version that isn't current, NUMBER.pem. A backup has every token there ever was, and nothing in
 * here changes but by a new version, a removal or a new seal. Beside the history of a device that was
 * taken away lies what there is to say of it.
 */
#include "file.h"
#include "known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void node_past(enum past_node past, const struct device *device, struct node *out)
{
	*out = (struct node){.number = tree_past_node(past, device->id),
			     .entry = tree_past(past),
			     .kind = KIND_PAST,
			     .device = *device};
}

bool node_is_past(const struct node *node, enum past_node past)
{
	return node->kind == KIND_PAST && node->entry == tree_past(past);
}

static void node_version(const struct version *version, struct node *out)
{
	*out = (struct node){.number = tree_past_node(PAST_VERSION, version->id),
			     .entry = tree_past(PAST_VERSION),
			     .kind = KIND_PAST,
			     .version = *version};
}

/* There, or taken away. */
static enum error find_device(struct fs *fs, int64_t id, struct device *out)
{
	enum error found = known_device(fs, id, out);
	return found == ERR_GONE ? escrow_removed(fs->escrow, id, out) : found;
}

enum error node_past_find(struct fs *fs, const struct entry *entry, int64_t id, struct node *out)
{
	struct device device;
	struct version version;
	if (!fs->sealed)
		return fail(ERR_GONE, "only sealed mounts show the past");
	if (entry == tree_past(PAST_VERSION)) {
		TRY(escrow_past_version(fs->escrow, id, &version));
		node_version(&version, out);
		return OK;
	}
	TRY(find_device(fs, id, &device));
	node_past((enum past_node)entry->node, &device, out);
	return OK;
}

/* ---- in a directory ---- */

void node_past_name(const struct version *version, char name[static PAST_NAME])
{
	snprintf(name, PAST_NAME, "%d.pem", version->number);
}

enum error node_past_list(struct fs *fs, const struct node *directory, store_each_version *each,
			  void *context)
{
	return escrow_past(fs->escrow, &directory->device, each, context);
}

struct wanted {
	const char *name;
	struct node *out;
	bool found;
};

static bool is_wanted(void *context, const struct version *version, const char *udid)
{
	struct wanted *wanted = context;
	char name[PAST_NAME];
	(void)udid;
	node_past_name(version, name);
	wanted->found = strcmp(name, wanted->name) == 0;
	if (wanted->found)
		node_version(version, wanted->out);
	return !wanted->found;
}

static enum error found_past(enum past_node past, const struct node *directory, struct node *out)
{
	node_past(past, &directory->device, out);
	return OK;
}

enum error node_past_child(struct fs *fs, const struct node *directory, const char *name,
			   struct node *out)
{
	struct wanted wanted = {.name = name, .out = out};
	if (node_is_past(directory, PAST_HISTORY))
		TRY(node_past_list(fs, directory, is_wanted, &wanted));
	else if (node_is_past(directory, PAST_REMOVED) && strcmp(name, tree_history) == 0)
		return found_past(PAST_HISTORY, directory, out);
	else if (node_is_past(directory, PAST_REMOVED) &&
		 strcmp(name, tree_past(PAST_ABOUT)->name) == 0)
		return found_past(PAST_ABOUT, directory, out);
	return wanted.found
		       ? OK
		       : fail(ERR_NOT_FOUND, "%s: there is no %s here", node_path(directory), name);
}

uint64_t node_past_parent(const struct node *node)
{
	if (!node_is_past(node, PAST_HISTORY))
		return node->entry->parent;
	return node->device.removed_at ? tree_past_node(PAST_REMOVED, node->device.id)
				       : tree_device_node(node->device.id, FILE_DIRECTORY);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t node_past_modified(const struct node *node)
{
	if (node_is_past(node, PAST_VERSION))
		return node->version.sealed_at;
	if (node_is_past(node, PAST_ABOUT))
		return later(node->device.security_at, node->device.removed_at);
	if (node_is_past(node, PAST_REMOVED))
		return node->device.created_at;
	/* A purge takes entries away, of which security_at tells. */
	return later(later(node->device.token_at, node->device.security_at),
		     node->device.removed_at);
}

/* ---- the PEM ---- */

static enum error version_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)fs;
	attr->st_size = node->version.token_size;
	return OK;
}

static enum error version_open(struct handle *handle, const struct node *node,
			       const struct actor *actor, struct fuse_file_info *info)
{
	(void)actor;
	(void)info;
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_seal_text(handle->fs->escrow, node->version.id, &text));
	return content_take(&text, &handle->text);
}

const struct file file_version = {
	.stat = version_stat,
	.open = version_open,
	.why_not = "an old version stays as it is; `escrowfs restore` makes it current again",
};

/* ---- security.json of a device that was taken away ---- */

static enum error about_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_removed_security(fs->escrow, &node->device, &text));
	attr->st_size = (off_t)text.len;
	return OK;
}

static enum error about_open(struct handle *handle, const struct node *node,
			     const struct actor *actor, struct fuse_file_info *info)
{
	(void)actor;
	(void)info;
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_removed_security(handle->fs->escrow, &node->device, &text));
	return content_take(&text, &handle->text);
}

const struct file file_about = {
	.stat = about_stat,
	.open = about_open,
	.why_not = "what is known of a device that was taken away stays as it is",
};

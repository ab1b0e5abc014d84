/* Inodes: found by number and by name, with the device that they belong to. */
#include "inside.h"

#include "catalog.h"
#include "known.h"

#include <stdio.h>
#include <string.h>

struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- making one ---- */

void node_fixed(const struct entry *entry, struct node *out)
{
	*out = (struct node){.number = entry->node, .entry = entry, .kind = KIND_FIXED};
}

/* All but its device. */
static void name_device(enum device_file file, struct node *out)
{
	out->number = tree_device_node(out->device.id, file);
	out->entry = tree_device(file);
	out->kind = KIND_DEVICE;
}

void node_device(const struct device *device, enum device_file file, struct node *out)
{
	out->device = *device;
	name_device(file, out);
}

void node_link(enum search_by by, const struct device *device, struct node *out)
{
	*out = (struct node){.number = tree_link_node(by, device->id),
			     .entry = &tree_link,
			     .kind = KIND_LINK,
			     .by = by,
			     .device = *device};
}

/* ---- finding one ---- */

bool node_asked_each_time(const struct fs *fs, const struct entry *entry)
{
	return entry->fresh && !fs->sealed;
}

/*
 * What the kernel keeps may be a second old when another process changed it. What the kernel asks for
 * each time never is.
 */
static enum error device_now(struct fs *fs, const struct entry *entry, int64_t id,
			     struct device *out)
{
	return node_asked_each_time(fs, entry) ? known_anew(fs, id, out)
					       : known_device(fs, id, out);
}

enum error node_find(struct fs *fs, fuse_ino_t number, struct node *out)
{
	const struct entry *entry;
	int64_t id;
	enum search_by by;
	struct device device;
	enum node_kind kind = tree_take_apart(number, &entry, &id, &by);
	if (!entry)
		return fail(ERR_GONE, "there is no inode %llu", (unsigned long long)number);
	switch (kind) {
	case KIND_PAST:
		return node_past_find(fs, entry, id, out);
	case KIND_FIXED:
		node_fixed(entry, out);
		break;
	case KIND_DEVICE:
		TRY(device_now(fs, entry, id, &out->device));
		name_device((enum device_file)entry->node, out);
		break;
	case KIND_LINK:
		TRY(device_now(fs, entry, id, &device));
		node_link(by, &device, out);
		break;
	}
	return OK;
}

/* What the directory was found with is as new as what would be found now, unless it is asked for each time. */
static enum error find_file(struct fs *fs, const struct node *directory, enum device_file file,
			    struct node *out)
{
	if (node_asked_each_time(fs, tree_device(file)))
		TRY(known_anew(fs, directory->device.id, &out->device));
	else
		out->device = directory->device;
	name_device(file, out);
	return OK;
}

enum error node_child(struct fs *fs, const struct node *directory, const char *name,
		      struct node *out)
{
	if (directory->kind == KIND_PAST)
		return node_past_child(fs, directory, name, out);
	if (node_is(directory, FILE_DIRECTORY)) {
		if (fs->sealed && strcmp(name, tree_history) == 0) {
			node_past(PAST_HISTORY, &directory->device, out);
			return OK;
		}
		for (int i = FILE_DIRECTORY + 1; i < FILES_PER_DEVICE; i++) {
			enum device_file file = (enum device_file)i;
			if (strcmp(tree_device(file)->name, name) == 0)
				return find_file(fs, directory, file, out);
		}
	} else if (directory->entry->catalog) {
		return directory->entry->catalog->find(fs, directory, name, out);
	} else {
		for (int i = 0; i < tree_count; i++) {
			const struct entry *entry = &tree[i];
			if (entry->parent == directory->number && entry->node != NODE_ROOT &&
			    tree_shown(entry, fs->sealed) && strcmp(entry->name, name) == 0) {
				node_fixed(entry, out);
				return OK;
			}
		}
	}
	return fail(ERR_NOT_FOUND, "%s: there is no %s here", node_path(directory), name);
}

/* ---- what it is ---- */

bool node_is(const struct node *node, enum device_file file)
{
	return node->kind == KIND_DEVICE && node->entry == tree_device(file);
}

/* Names of ours and a UDID: together they are shorter than the room. */
const char *node_path(const struct node *node)
{
	static _Thread_local char path[NODE_PATH];
	char *end = path;
	*path = 0;
	if (node->kind == KIND_FIXED) {
		const struct entry *parent = tree_fixed(node->entry->parent);
		const struct entry *above = tree_fixed(parent->parent);
		if (*above->name)
			end = stpcpy(stpcpy(end, "/"), above->name);
		if (*parent->name)
			end = stpcpy(stpcpy(end, "/"), parent->name);
		stpcpy(stpcpy(end, "/"), node->entry->name);
	} else if (node->kind == KIND_DEVICE) {
		end = stpcpy(stpcpy(end, "/devices/"), node->device.udid);
		if (*node->entry->name)
			stpcpy(stpcpy(end, "/"), node->entry->name);
	}
	return path;
}

const char *node_udid(const struct node *node)
{
	bool of_device = node && !node_is_past(node, PAST_VERSION);
	return of_device && node->device.id ? node->device.udid : NULL;
}

struct access_node node_access(const struct node *node)
{
	return (struct access_node){
		.node = node->number,
		.policy = node->entry->policy,
		.pinned = node->kind == KIND_DEVICE &&
			  node->device.pinned >> node->number % FILES_PER_DEVICE & 1,
		.mode = (uint32_t)node->entry->mode,
		.directory = S_ISDIR(node->entry->type),
		.udid = node_udid(node),
		.path = "",
	};
}

bool fs_device_file(const char *name, int *node, struct access_node *start)
{
	for (enum device_file file = FILE_DIRECTORY; file < FILES_PER_DEVICE; file++) {
		const struct entry *entry = tree_device(file);
		if (strcmp(file == FILE_DIRECTORY ? "" : entry->name, name) != 0)
			continue;
		*node = (int)file;
		*start = (struct access_node){.policy = entry->policy,
					      .mode = (uint32_t)entry->mode,
					      .directory = S_ISDIR(entry->type)};
		return true;
	}
	return false;
}

void node_target(const struct node *link, char target[static NODE_PATH])
{
	snprintf(target, NODE_PATH, "%s../../%s/%s", link->by == BY_STATUS ? "../" : "",
		 tree_fixed(NODE_DEVICES)->name, link->device.udid);
}

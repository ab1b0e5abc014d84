/*
 * The tree of a sealed escrow, copied without a mount: a walk over the same nodes, whose attributes
 * and texts come from the same functions as those that answer the kernel. So what is written down
 * is what a sealed mount shows, to the byte.
 */
#include "catalog.h"
#include "changes.h"
#include "file.h"

#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)256 * 1024)

struct walk {
	struct fs fs;
	const struct fs_copying *to;
};

static enum error copy_node(struct walk *walk, const struct node *node, const char *name);

static bool going_on(const struct walk *walk)
{
	return walk->to->going_on(walk->to->context);
}

/* ---- files ---- */

/* What can't be had is named, and the rest goes on. */
static enum error failed(struct walk *walk, enum error error)
{
	if (error == ERR_MEMORY || error == ERR_IO)
		return error;
	walk->to->failed(walk->to->context);
	return OK;
}

static enum error copy_trail(struct walk *walk)
{
	uint8_t *piece = malloc(PIECE);
	if (!piece)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = OK;
	size_t n = PIECE;
	for (uint64_t at = 0; !result && n == PIECE; at += n) {
		result = escrow_trail_read(walk->fs.escrow, at, piece, PIECE, &n);
		if (!result && n)
			result = walk->to->piece(walk->to->context, piece, n);
	}
	free(piece);
	return result;
}

static enum error copy_text(struct walk *walk, const struct fs_copied *copied,
			    const struct handle *handle)
{
	const struct fs_copying *to = walk->to;
	TRY(to->enter(to->context, copied));
	if (handle && handle->text)
		TRY(to->piece(to->context, handle->text->data, handle->text->len));
	else if (!handle)
		TRY(copy_trail(walk));
	return to->leave(to->context, copied);
}

/* The text is settled before the file is begun. */
static enum error copy_file(struct walk *walk, const struct node *node,
			    const struct fs_copied *copied)
{
	struct handle *handle = NULL;
	if (node->number == NODE_AUDIT)
		return copy_text(walk, copied, NULL);
	enum error result = file_settle(&walk->fs, node, &handle);
	result = result ? failed(walk, result) : copy_text(walk, copied, handle);
	handle_drop(handle);
	return result;
}

/* ---- directories ---- */

static enum error copy_files_of_device(struct walk *walk, const struct device *device)
{
	struct node node;
	for (int i = FILE_DIRECTORY + 1; i < FILES_PER_DEVICE; i++) {
		node_device(device, (enum device_file)i, &node);
		TRY(copy_node(walk, &node, node.entry->name));
	}
	node_past(PAST_HISTORY, device, &node);
	return copy_node(walk, &node, tree_history);
}

/* A listing may not look at what it lists: numbers are taken down first. */
struct numbers {
	int64_t *of;
	int count, cap;
	bool failed;
};

static void numbers_free(struct numbers *numbers)
{
	free(numbers->of);
}

static bool take_down(void *context, const struct version *version, const char *udid)
{
	struct numbers *numbers = context;
	(void)udid;
	if (numbers->count == numbers->cap) {
		int cap = numbers->cap ? 2 * numbers->cap : 16;
		int64_t *more = realloc(numbers->of, (size_t)cap * sizeof *more);
		numbers->failed = !more;
		if (!more)
			return false;
		numbers->of = more;
		numbers->cap = cap;
	}
	numbers->of[numbers->count++] = version->id;
	return true;
}

static enum error copy_history(struct walk *walk, const struct node *directory)
{
	SCOPED(numbers_free) struct numbers numbers = {0};
	TRY(node_past_list(&walk->fs, directory, take_down, &numbers));
	if (numbers.failed)
		return fail(ERR_MEMORY, "out of memory");
	for (int i = 0; i < numbers.count && going_on(walk); i++) {
		struct node node;
		char name[PAST_NAME];
		TRY(node_find(&walk->fs, tree_past_node(PAST_VERSION, numbers.of[i]), &node));
		node_past_name(&node.version, name);
		TRY(copy_node(walk, &node, name));
	}
	return OK;
}

static enum error copy_past(struct walk *walk, const struct node *directory)
{
	struct node node;
	if (node_is_past(directory, PAST_HISTORY))
		return copy_history(walk, directory);
	node_past(PAST_ABOUT, &directory->device, &node);
	TRY(copy_node(walk, &node, node.entry->name));
	node_past(PAST_HISTORY, &directory->device, &node);
	return copy_node(walk, &node, tree_history);
}

/* One entry of a directory whose entries come from the store. */
static enum error copy_listed(struct walk *walk, const struct node *directory, int64_t id,
			      const char *name)
{
	struct device device;
	struct node node;
	TRY(directory->number == NODE_REMOVED ? escrow_removed(walk->fs.escrow, id, &device)
					      : escrow_device(walk->fs.escrow, id, &device));
	catalog_node(directory, &device, &node);
	return copy_node(walk, &node, name);
}

static enum error copy_catalog(struct walk *walk, const struct node *directory)
{
	struct page page = {.limit = PAGE_ENTRIES, .count = PAGE_ENTRIES};
	for (int64_t after = 0; page.count == page.limit;) {
		page.count = 0;
		TRY(directory->entry->catalog->list(&walk->fs, directory, after, &page));
		for (int i = 0; i < page.count && going_on(walk); i++) {
			after = page.entry[i].cursor;
			if (page.entry[i].device.id)
				TRY(copy_listed(walk, directory, page.entry[i].device.id,
						page.entry[i].name));
		}
		if (!going_on(walk))
			break;
	}
	return OK;
}

static enum error copy_fixed(struct walk *walk, const struct node *directory)
{
	for (int i = 1; i < tree_count && going_on(walk); i++) {
		struct node node;
		if (tree[i].parent != directory->number || !tree_shown(&tree[i], true))
			continue;
		if (walk->to->udid_count && tree[i].node != NODE_DEVICES &&
		    tree[i].node != NODE_REMOVED)
			continue;
		node_fixed(&tree[i], &node);
		TRY(copy_node(walk, &node, node.entry->name));
	}
	return OK;
}

/* ---- some devices only ---- */

static enum error find_named(struct walk *walk, bool removed, const char *udid, struct device *out)
{
	if (!removed)
		return escrow_search_udid(walk->fs.escrow, udid, out);
	struct device there;
	if (!escrow_search_udid(walk->fs.escrow, udid, &there))
		udid = there.udid;
	return escrow_removed_named(walk->fs.escrow, udid, out);
}

static enum error copy_named(struct walk *walk, const struct node *directory)
{
	const struct fs_copying *to = walk->to;
	bool removed = directory->number == NODE_REMOVED;
	for (int i = 0; i < to->udid_count && going_on(walk); i++) {
		struct device device;
		enum error found = find_named(walk, removed, to->udids[i], &device);
		if (found == ERR_NOT_FOUND)
			continue;
		TRY(found);
		TRY(copy_listed(walk, directory, device.id, device.udid));
	}
	return OK;
}

static enum error name_missing(struct walk *walk)
{
	const struct fs_copying *to = walk->to;
	for (int i = 0; i < to->udid_count; i++) {
		struct device device;
		enum error found = find_named(walk, false, to->udids[i], &device);
		if (found == ERR_NOT_FOUND)
			found = find_named(walk, true, to->udids[i], &device);
		if (found == ERR_NOT_FOUND) {
			fail(found, "device %s: there is none of this name", to->udids[i]);
			to->failed(to->context);
		} else {
			TRY(found);
		}
	}
	return OK;
}

/* ---- any node ---- */

static enum error copy_entries(struct walk *walk, const struct node *node)
{
	if (node->kind == KIND_DEVICE)
		return copy_files_of_device(walk, &node->device);
	if (node->kind == KIND_PAST)
		return copy_past(walk, node);
	if (!node->entry->catalog)
		return copy_fixed(walk, node);
	return walk->to->udid_count ? copy_named(walk, node) : copy_catalog(walk, node);
}

static enum error copy_directory(struct walk *walk, const struct node *node,
				 const struct fs_copied *copied)
{
	TRY(walk->to->enter(walk->to->context, copied));
	TRY(copy_entries(walk, node));
	return walk->to->leave(walk->to->context, copied);
}

static enum error copy_node(struct walk *walk, const struct node *node, const char *name)
{
	struct stat attr;
	struct access access = {0};
	char target[NODE_PATH] = "";
	TRY(node_attr(&walk->fs, node, &attr));
	struct fs_copied copied = {.name = name, .attr = &attr, .access = &access};
	if (node->kind == KIND_LINK) {
		node_target(node, target);
		copied.target = target;
		return walk->to->enter(walk->to->context, &copied);
	}
	struct access_node of = node_access(node);
	TRY(escrow_access(walk->fs.escrow, &of, &access));
	return S_ISDIR(attr.st_mode) ? copy_directory(walk, node, &copied)
				     : copy_file(walk, node, &copied);
}

enum error fs_copy(struct escrow *escrow, const struct fs_copying *to)
{
	struct walk walk = {
		.fs = {.escrow = escrow, .sealed = true, .born_at = escrow_born_at(escrow)},
		.to = to};
	struct node root;
	pthread_mutex_init(&walk.fs.mutex, NULL);
	enum error result = changes_new(&walk.fs, &walk.fs.changes);
	if (!result)
		result = name_missing(&walk);
	if (!result) {
		node_fixed(tree_fixed(NODE_ROOT), &root);
		result = copy_fixed(&walk, &root);
	}
	changes_free(walk.fs.changes);
	handle_free_all(&walk.fs);
	pthread_mutex_destroy(&walk.fs.mutex);
	return result;
}

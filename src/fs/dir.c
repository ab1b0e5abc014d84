/*
 * Listings. An offset says which entry came before, whatever came and went since: 1 and 2 for .
 * and .., from there on positions in the table (which never changes), from CATALOG on a cursor of
 * the store's.
 */
#include "catalog.h"
#include "file.h"
#include "known.h"

#include <string.h>

#define CATALOG 256
#define LISTING_MAX ((size_t)64 * 1024) /* bytes in one answer, on the worker's stack */
#define SHORTEST "1"			/* of all names */

struct listing {
	struct fs *fs;
	fuse_req_t req;
	const struct node *directory;
	bool plus;
	char buffer[LISTING_MAX];
	size_t size, used;
	struct fuse_entry_param device; /* of a device's directory that nobody set anything on */
	int64_t set_at;			/* when its policy was */
	bool stopped;			/* at one that somebody did */
};

/*
 * Adds an entry; false: there is no room for it. With number 0 the kernel looks the name up when
 * it needs it.
 */
static bool put(struct listing *listing, const char *name, const struct fuse_entry_param *entry,
		int64_t offset)
{
	char *at = listing->buffer + listing->used;
	size_t room = listing->size - listing->used, n;
	if (listing->plus)
		n = fuse_add_direntry_plus(listing->req, at, room, name, entry, offset);
	else
		n = fuse_add_direntry(listing->req, at, room, name, &entry->attr, offset);
	if (n > room)
		return false;
	listing->used += n;
	return true;
}

static bool put_bare(struct listing *listing, const char *name, uint64_t number, mode_t type,
		     int64_t offset)
{
	struct fuse_entry_param entry = {.attr = {.st_ino = number, .st_mode = type}};
	return put(listing, name, &entry, offset);
}

/*
 * An entry with its attributes, if they are wanted and will be kept; one that went meanwhile is
 * left out.
 */
static bool put_node(struct listing *listing, const char *name, const struct node *node,
		     int64_t offset)
{
	struct fuse_entry_param entry;
	if (!listing->plus || node_asked_each_time(listing->fs, node->entry))
		return put_bare(listing, name, node->number, node->entry->type, offset);
	if (node_entry(listing->fs, node, &entry))
		return true;
	return put(listing, name, &entry, offset);
}

/* ---- what there is ---- */

static uint64_t parent_of(const struct node *directory)
{
	if (directory->kind == KIND_PAST)
		return node_past_parent(directory);
	return directory->kind == KIND_DEVICE ? NODE_DEVICES : directory->entry->parent;
}

/* The last entry of a device's directory. */
static bool put_history(struct listing *listing, int64_t offset)
{
	struct node node;
	if (2 + FILES_PER_DEVICE <= offset)
		return true;
	node_past(PAST_HISTORY, &listing->directory->device, &node);
	return put_node(listing, tree_history, &node, 2 + FILES_PER_DEVICE);
}

static bool put_files(struct listing *listing, int64_t offset)
{
	for (int i = FILE_DIRECTORY + 1; i < FILES_PER_DEVICE; i++) {
		struct node node;
		if (2 + i <= offset)
			continue;
		node_device(&listing->directory->device, (enum device_file)i, &node);
		if (!put_node(listing, node.entry->name, &node, 2 + i))
			return false;
	}
	return !listing->fs->sealed || put_history(listing, offset);
}

/* ---- what is old ---- */

struct versions {
	struct listing *listing;
	int64_t offset;
};

static bool put_version(void *context, const struct version *version, const char *udid)
{
	struct versions *versions = context;
	char name[PAST_NAME];
	(void)udid;
	node_past_name(version, name);
	return CATALOG + version->number <= versions->offset ||
	       put_bare(versions->listing, name, tree_past_node(PAST_VERSION, version->id), S_IFREG,
			CATALOG + version->number);
}

static enum error put_past(struct listing *listing, int64_t offset)
{
	struct versions versions = {.listing = listing, .offset = offset};
	if (node_is_past(listing->directory, PAST_HISTORY))
		return node_past_list(listing->fs, listing->directory, put_version, &versions);
	struct node node;
	node_past(PAST_ABOUT, &listing->directory->device, &node);
	if (offset >= 3 || put_node(listing, node.entry->name, &node, 3))
		(void)put_history(listing, offset);
	return OK;
}

static bool put_fixed(struct listing *listing, int64_t offset)
{
	for (int i = 1; i < tree_count; i++) {
		struct node node;
		if (2 + i <= offset || tree[i].parent != listing->directory->number ||
		    !tree_shown(&tree[i], listing->fs->sealed))
			continue;
		node_fixed(&tree[i], &node);
		if (!put_node(listing, node.entry->name, &node, 2 + i))
			return false;
	}
	return true;
}

/* ---- what the store lists ---- */

static mode_t type_in(const struct node *directory)
{
	return directory->number == NODE_DEVICES || directory->number == NODE_REMOVED ? S_IFDIR
										      : S_IFLNK;
}

/* How many there is room for, and one that there isn't, which ends it. */
static int room_for(const struct listing *listing)
{
	struct fuse_entry_param entry = {0};
	size_t one = listing->plus
			     ? fuse_add_direntry_plus(listing->req, NULL, 0, SHORTEST, &entry, 0)
			     : fuse_add_direntry(listing->req, NULL, 0, SHORTEST, &entry.attr, 0);
	return (int)((listing->size - listing->used) / one) + 1;
}

/* False: there is no room for it. One that went meanwhile is left out. */
static bool put_listed(struct listing *listing, const struct page *page, int i)
{
	const struct node *directory = listing->directory;
	int64_t id = page->entry[i].device.id, offset = page->entry[i].cursor + CATALOG;
	const char *name = page->entry[i].name;
	struct device device;
	struct node node;
	if (!id)
		return true;
	if (!listing->plus)
		return put_bare(listing, name, catalog_number(directory, id), type_in(directory),
				offset);
	if (page->entry[i].shown)
		device = page->entry[i].device;
	else if (directory->number == NODE_REMOVED
			 ? escrow_removed(listing->fs->escrow, id, &device)
			 : known_device(listing->fs, id, &device))
		return true;
	catalog_node(directory, &device, &node);
	return put_node(listing, name, &node, offset);
}

static enum error put_pages(struct listing *listing, int64_t after)
{
	const struct catalog *catalog = listing->directory->entry->catalog;
	struct page page = {.attributes = listing->plus};
	do {
		int room = room_for(listing);
		page.limit = room < PAGE_ENTRIES ? room : PAGE_ENTRIES;
		page.count = 0;
		TRY(catalog->list(listing->fs, listing->directory, after, &page));
		for (int i = 0; i < page.count; i++) {
			if (!put_listed(listing, &page, i))
				return OK;
			after = page.entry[i].cursor;
		}
	} while (page.count == page.limit);
	return OK;
}

/* From the store to the kernel without a stop: a fleet is listed at its pace. */
static bool put_name(void *context, int64_t id, const char *udid)
{
	struct listing *listing = context;
	return put_bare(listing, udid, catalog_number(listing->directory, id),
			type_in(listing->directory), id + CATALOG);
}

static bool put_device(void *context, const struct device *device)
{
	struct listing *listing = context;
	listing->stopped = device->pinned >> FILE_DIRECTORY & 1;
	if (listing->stopped)
		return false;
	node_entry_like(&listing->device, listing->set_at, device);
	return put(listing, device->udid, &listing->device, device->id + CATALOG);
}

static enum error put_devices(struct listing *listing, int64_t *after)
{
	struct node any;
	node_device(&(struct device){.id = 0}, FILE_DIRECTORY, &any);
	TRY(node_entry(listing->fs, &any, &listing->device));
	listing->set_at = time_of(listing->device.attr.st_ctim);
	TRY(escrow_glances(listing->fs->escrow, *after, room_for(listing), put_device, listing));
	if (listing->device.ino)
		*after = (int64_t)(listing->device.ino / FILES_PER_DEVICE);
	return OK;
}

static enum error put_catalog(struct listing *listing, int64_t after)
{
	const struct node *directory = listing->directory;
	if (!listing->plus && directory->entry->catalog->plain)
		return escrow_devices(listing->fs->escrow, STATUS_COUNT, after, room_for(listing),
				      put_name, listing);
	if (listing->plus && directory->number == NODE_DEVICES) {
		TRY(put_devices(listing, &after));
		if (!listing->stopped)
			return OK;
	}
	return put_pages(listing, after);
}

static enum error list(struct listing *listing, int64_t offset)
{
	const struct node *directory = listing->directory;
	if (offset < 1 && !put_bare(listing, ".", directory->number, S_IFDIR, 1))
		return OK;
	if (offset < 2 && !put_bare(listing, "..", parent_of(directory), S_IFDIR, 2))
		return OK;
	if (directory->kind == KIND_DEVICE) {
		(void)put_files(listing, offset);
		return OK;
	}
	if (directory->kind == KIND_PAST)
		return put_past(listing, offset);
	if (directory->entry->catalog)
		return put_catalog(listing, offset > CATALOG ? offset - CATALOG : 0);
	(void)put_fixed(listing, offset);
	return OK;
}

/* ---- requests ---- */

void op_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct node node;
	if (fs_of(req)->sealed) {
		file_unopened(req, info);
		return;
	}
	enum error result = node_find(fs_of(req), number, &node);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		fuse_reply_open(req, info);
}

void op_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	(void)number;
	(void)info;
	fuse_reply_err(req, 0);
}

static void read_directory(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, bool plus)
{
	struct fs *fs = fs_of(req);
	struct node directory;
	struct listing listing; /* the buffer isn't filled with zeros */
	listing.fs = fs;
	listing.req = req;
	listing.directory = &directory;
	listing.plus = plus;
	listing.size = size < LISTING_MAX ? size : LISTING_MAX;
	listing.used = 0;
	listing.stopped = false;
	enum error result = node_find(fs, number, &directory);
	if (!result)
		result = list(&listing, offset);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		fuse_reply_buf(req, listing.buffer, listing.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		struct fuse_file_info *info)
{
	(void)info;
	read_directory(req, number, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	(void)info;
	read_directory(req, number, size, offset, true);
}

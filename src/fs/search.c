/*
 * The directories whose entries come from the store: /devices, and those below /search with a
 * symbolic link for each device. In /devices names match exactly; in /search in any case of
 * letters, and hardware addresses with any separators.
 */
#include "catalog.h"
#include "known.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum search_by searched_by(const struct node *directory)
{
	if (directory->number >= NODE_STATUS)
		return BY_STATUS;
	return (enum search_by)(directory->number - NODE_BY);
}

uint64_t catalog_number(const struct node *directory, int64_t device)
{
	if (directory->number == NODE_DEVICES)
		return tree_device_node(device, FILE_DIRECTORY);
	if (directory->number == NODE_REMOVED)
		return tree_past_node(PAST_REMOVED, device);
	return tree_link_node(searched_by(directory), device);
}

void catalog_node(const struct node *directory, const struct device *device, struct node *out)
{
	if (directory->number == NODE_DEVICES)
		node_device(device, FILE_DIRECTORY, out);
	else if (directory->number == NODE_REMOVED)
		node_past(PAST_REMOVED, device, out);
	else
		node_link(searched_by(directory), device, out);
}

/* ---- listings ---- */

/* It has room for the name: a page's caller wants no more than it has entries. */
static void add(struct page *page, int64_t cursor, int64_t device, const char *name)
{
	size_t len = strnlen(name, sizeof page->entry->name - 1);
	page->entry[page->count].cursor = cursor;
	page->entry[page->count].device.id = device;
	page->entry[page->count].shown = false;
	memcpy(page->entry[page->count].name, name, len);
	page->entry[page->count].name[len] = 0;
	page->count++;
}

static bool add_device(void *context, int64_t id, const char *udid)
{
	add(context, id, id, udid);
	return true;
}

static bool add_glance(void *context, const struct device *device)
{
	struct page *page = context;
	page->entry[page->count].device = *device;
	add(page, device->id, device->id, device->udid);
	page->entry[page->count - 1].shown = true;
	return true;
}

static enum error list_devices(struct fs *fs, const struct node *directory, int64_t after,
			       struct page *page)
{
	(void)directory;
	return page->attributes ? escrow_glances(fs->escrow, after, page->limit, add_glance, page)
				: escrow_devices(fs->escrow, STATUS_COUNT, after, page->limit,
						 add_device, page);
}

static enum error list_device_ids(struct fs *fs, const struct node *directory, int64_t after,
				  struct page *page)
{
	TRY(list_devices(fs, directory, after, page));
	for (int i = 0; i < page->count; i++)
		snprintf(page->entry[i].name, sizeof page->entry->name, "%" PRId64,
			 page->entry[i].device.id);
	return OK;
}

static enum error list_status(struct fs *fs, const struct node *directory, int64_t after,
			      struct page *page)
{
	enum status status = (enum status)(directory->number - NODE_STATUS);
	return escrow_devices(fs->escrow, status, after, page->limit, add_device, page);
}

static enum name_kind name_kind(const struct node *directory)
{
	switch (searched_by(directory)) {
	case BY_MAC:
		return NAME_MAC;
	case BY_IMEI:
		return NAME_IMEI;
	default:
		return NAME_SERIAL;
	}
}

static bool add_name(void *context, int64_t cursor, const char *name, int64_t device)
{
	add(context, cursor, device, name);
	return true;
}

static enum error list_names(struct fs *fs, const struct node *directory, int64_t after,
			     struct page *page)
{
	return escrow_names(fs->escrow, name_kind(directory), after, page->limit, add_name, page);
}

static enum error list_removed(struct fs *fs, const struct node *directory, int64_t after,
			       struct page *page)
{
	(void)directory;
	return escrow_removed_devices(fs->escrow, after, page->limit, add_device, page);
}

/* ---- lookups ---- */

static enum error not_here(const struct node *directory, const char *name)
{
	return fail(ERR_NOT_FOUND, "%s: there is no device %s here", node_path(directory), name);
}

static enum error find_exact(struct fs *fs, const struct node *directory, const char *name,
			     struct node *out)
{
	struct device device;
	if (!udid_valid(name, strlen(name)))
		return not_here(directory, name);
	TRY(directory->number == NODE_REMOVED ? escrow_removed_named(fs->escrow, name, &device)
					      : known_named(fs, name, &device));
	catalog_node(directory, &device, out);
	return OK;
}

static enum error find_udid(struct fs *fs, const struct node *directory, const char *name,
			    struct node *out)
{
	struct device device;
	if (!udid_valid(name, strlen(name)))
		return not_here(directory, name);
	TRY(escrow_search_udid(fs->escrow, name, &device));
	if (searched_by(directory) == BY_STATUS &&
	    device.status != (enum status)(directory->number - NODE_STATUS))
		return not_here(directory, name);
	catalog_node(directory, &device, out);
	return OK;
}

/* Only as the listing shows it: no signs, no leading zeros. */
static enum error find_device_id(struct fs *fs, const struct node *directory, const char *name,
				 struct node *out)
{
	struct device device;
	size_t len = strlen(name);
	if (!len || len > 15 || strspn(name, "0123456789") != len || *name == '0')
		return not_here(directory, name);
	enum error found = escrow_device(fs->escrow, strtoll(name, NULL, 10), &device);
	if (found == ERR_GONE)
		return not_here(directory, name);
	TRY(found);
	catalog_node(directory, &device, out);
	return OK;
}

/* The digits of an IMEI: people and devices write spaces and dashes between them. */
static void digits_of(const char *name, char *out, size_t size)
{
	size_t n = 0;
	for (; *name && n + 1 < size; name++)
		if (*name >= '0' && *name <= '9')
			out[n++] = *name;
	out[n] = 0;
}

static enum error find_name(struct fs *fs, const struct node *directory, const char *name,
			    struct node *out)
{
	struct device device;
	enum name_kind kind = name_kind(directory);
	if (strlen(name) >= FACT_TEXT)
		return not_here(directory, name);
	enum error found = escrow_search(fs->escrow, kind, name, &device);
	if (found == ERR_NOT_FOUND && kind == NAME_IMEI) {
		char digits[FACT_TEXT];
		digits_of(name, digits, sizeof digits);
		found = escrow_search(fs->escrow, kind, digits, &device);
	}
	TRY(found);
	catalog_node(directory, &device, out);
	return OK;
}

const struct catalog catalog_devices = {find_exact, list_devices, .plain = true};
const struct catalog catalog_udid = {find_udid, list_devices, .plain = true};
const struct catalog catalog_names = {find_name, list_names, .plain = false};
const struct catalog catalog_device_id = {find_device_id, list_device_ids, .plain = false};
const struct catalog catalog_removed = {find_exact, list_removed, .plain = false};
const struct catalog catalog_status = {find_udid, list_status, .plain = false};

/* ---- links ---- */

void op_readlink(fuse_req_t req, fuse_ino_t number)
{
	struct node node;
	char target[NODE_PATH];
	enum error result = node_find(fs_of(req), number, &node);
	if (!result && node.kind != KIND_LINK)
		result = fail(ERR_INVALID, "%s: it is no symbolic link", node_path(&node));
	if (result) {
		fuse_reply_err(req, reply_errno(result));
		return;
	}
	node_target(&node, target);
	fuse_reply_readlink(req, target);
}

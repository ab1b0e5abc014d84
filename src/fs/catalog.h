#ifndef FS_CATALOG_H
#define FS_CATALOG_H

#include "inside.h"

/*
 * A directory whose entries come from the store: found by name, and listed in pages by cursor, so
 * that a listing of a million devices skips none and doubles none while others come and go.
 */
#define PAGE_ENTRIES 128

struct page {
	int limit;	 /* how many are wanted: PAGE_ENTRIES at the most */
	bool attributes; /* of the devices, as far as a listing shows them, are wanted, too */
	int count;
	struct {
		int64_t cursor; /* where the listing goes on behind this entry */
		struct device
			device; /* of which id is known; the rest as store_glances() if at all */
		bool shown;	/* the rest is there */
		char name[FACT_TEXT];
	} entry[PAGE_ENTRIES];
};

struct catalog {
	/* ERR_NOT_FOUND. */
	enum error (*find)(struct fs *, const struct node *directory, const char *name,
			   struct node *out);
	/* The entries after a cursor (0: the first); less than wanted: the end. */
	enum error (*list)(struct fs *, const struct node *directory, int64_t after, struct page *);
	/* They are the UDIDs of all devices by number: without attributes they can be had from
	   escrow_devices(). */
	bool plain;
};

/*
 * The inode number of, and the node for, a device in such a directory: its own directory, or a
 * link.
 */
uint64_t catalog_number(const struct node *directory, int64_t device);
void catalog_node(const struct node *directory, const struct device *, struct node *out);

extern const struct catalog catalog_devices, catalog_udid, catalog_names, catalog_device_id,
	catalog_status, catalog_removed;

#endif

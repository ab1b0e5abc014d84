#ifndef FS_TREE_H
#define FS_TREE_H

#include "escrow.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * The tree: one table of everything that is always there, and the arithmetic of inode numbers for
 * the rest.
 *
 *   1 ... 1023             the entries of the table
 *   device number * 4 + n  a device's directory (n = 0) and its three files (1, 2, 3)
 *   2^51 + n * 2^48 + id   the past, in sealed mounts: enum past_node, of a device or a version
 *   2^52 + by * 2^48 + id  a symbolic link in /search
 *   2^53 + count           /checkin, anew for each lookup
 *
 * Numbers below 2^51 name rows in the store (owners and modes that somebody set) and never
 * change. Devices' numbers start at 256 and are never used again, so an inode number says for all
 * time what it stands for, and nothing about it has to be kept in memory.
 */
enum {
	NODE_ROOT = 1,
	NODE_DEVICES = 2,
	NODE_CHECKIN = 3,
	NODE_SEARCH = 4,
	NODE_POLICY = 5,
	NODE_AUDIT = 6,
	NODE_METRICS = 7,
	NODE_REMOVED = 8,   /* sealed mounts only */
	NODE_BY = 16,	    /* /search/udid and those after it */
	NODE_STATUS = 32,   /* /search/status/WORD, in the order of enum status */
	NODE_POLICIES = 48, /* /policy/device and the policies of a device's files */
	NODE_FIRST_DEVICE = 1024,
};

/* What a directory is searched by; the order is the order of inode numbers from NODE_BY. */
enum search_by {
	BY_UDID,
	BY_SERIAL,
	BY_MAC,
	BY_IMEI,
	BY_DEVICE_ID,
	BY_STATUS, /* /search/status has the six words, these have the links */
	BY_COUNT
};

/* The files of a device; the order is that of inode numbers. */
enum device_file { FILE_DIRECTORY, FILE_SECURITY, FILE_STATUS, FILE_TOKEN, FILES_PER_DEVICE };

/* What is old, in sealed mounts: /devices/UDID/history and /removed. */
enum past_node {
	PAST_HISTORY, /* a directory; the number is the device's, also of one taken away */
	PAST_VERSION, /* a PEM in it; the number is the version's row */
	PAST_REMOVED, /* /removed/UDID; the number is the device's */
	PAST_ABOUT,   /* security.json in it; the number is the device's */
	PAST_COUNT
};

struct file;	/* file.h: what a regular file does */
struct catalog; /* catalog.h: what a directory whose entries come from the store does */

struct entry {
	uint32_t node; /* the inode number; of a device's files the n above */
	uint32_t parent;
	const char *name;
	const struct file *file;
	const struct catalog *catalog;
	mode_t type;	  /* S_IFDIR or S_IFREG; S_IFLNK for tree_link */
	mode_t mode;	  /* at first */
	uint32_t policy;  /* the inode number of what its owner and mode start from; 0 */
	bool sealed;	  /* also there in sealed mounts */
	bool only_sealed; /* there in no other */
	bool fresh; /* its attributes are asked for each time: they change by themselves, or must
		       hold at once */
};

/* The entries of the table, for listings: by position, and how many. */
extern const struct entry tree[];
extern const int tree_count;

/* The entry of a number below NODE_FIRST_DEVICE; of a device's file; of every link in /search. */
const struct entry *tree_fixed(uint64_t node);
const struct entry *tree_device(enum device_file);
extern const struct entry tree_link;
const struct entry *tree_past(enum past_node);
extern const char tree_history[]; /* "history" */

uint64_t tree_device_node(int64_t device, enum device_file);
uint64_t tree_link_node(enum search_by, int64_t device);
uint64_t tree_checkin_node(uint64_t count);

uint64_t tree_past_node(enum past_node, int64_t id);
/* Is an entry there in a mount that is sealed, or not? */
bool tree_shown(const struct entry *, bool sealed);

enum node_kind { KIND_FIXED, KIND_DEVICE, KIND_LINK, KIND_PAST };
/*
 * Takes an inode number apart: `entry`, and the device (0: none; of KIND_PAST the device or the
 * version) and what a link is searched by.
 */
enum node_kind tree_take_apart(uint64_t node, const struct entry **entry, int64_t *device,
			       enum search_by *by);

#endif

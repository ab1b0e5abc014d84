#ifndef SOURCES_TREE_H
#define SOURCES_TREE_H

#include "arrival.h"

/* All of one device's files have no more: thousands of versions. */
#define TREE_DEVICE_MAX (16 * 1024 * 1024)

/* The files that a device has in a sealed tree. */
enum tree_part { TREE_SECURITY, TREE_STATUS, TREE_TOKEN, TREE_HISTORY, TREE_PARTS };
const char *tree_part_name(enum tree_part);

/*
 * Reads a device's directory of a sealed tree, as a backup program restored it. Nothing in it is
 * trusted: links aren't followed, other names are no part of it, sizes are bounded. What can't be
 * read is among the refusals, and the rest is there. `removed`: it lies under the tree's /removed.
 * The caller frees `out`, also after an error. ERR_MEMORY.
 */
enum error tree_read_device(const char *path, const char *udid, bool removed,
			    struct kept_device *out);

#endif

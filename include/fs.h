#ifndef ESCROWFS_FS_H
#define ESCROWFS_FS_H

#include "error.h"
#include "escrow.h"

#include <stdbool.h>

/*
 * The filesystem: FUSE requests in, replies out. The tree is one table (src/fs/tree.c); what a
 * request means is the escrow's business.
 */
struct fs_options {
	const char *source; /* as the mount table shows it: the store */
	const char *mountpoint;
	int threads; /* workers; 0: two */
	bool allow_other;
	bool read_only;
	bool debug;
};

/*
 * Is `path` fit to be mounted on? ERR_NOT_FOUND, ERR_INVALID (not a directory), ERR_NOT_EMPTY,
 * ERR_BUSY (something is mounted there). A dead mount of ours (its daemon was killed; the kernel
 * answers ENOTCONN) is unmounted first.
 */
enum error fs_mountpoint_check(const char *path);

/*
 * Mounts and serves until it is unmounted or SIGTERM, SIGINT or SIGHUP comes. `ready` is called
 * once requests are answered.
 */
enum error fs_serve(struct escrow *, const struct fs_options *, void (*ready)(void *),
		    void *context);

#endif

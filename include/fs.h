#ifndef ESCROWFS_FS_H
#define ESCROWFS_FS_H

#include "error.h"
#include "escrow.h"

#include <stdbool.h>
#include <sys/stat.h>

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

/* ---- without a mount ---- */

/*
 * The file of this name in a device's directory, "" for the directory itself: which of the device's
 * nodes it is (store.h, STORE_NODES), and what its owner and mode are when nobody set any. False:
 * there is none.
 */
bool fs_device_file(const char *name, int *node, struct access_node *start);

/* One thing of the tree. */
struct fs_copied {
	const char *name; /* in the directory that was entered last */
	const struct stat *attr;
	const struct access *access; /* its ACLs */
	const char *target;	     /* of a symbolic link; NULL: none */
};

/*
 * Where a copy goes. Directories are entered and left around what is in them, files around the
 * pieces of what they say; symbolic links are entered only. Errors of these end it all.
 */
struct fs_copying {
	const char *const *udids; /* in any case of letters; none: all of the tree */
	int udid_count;
	enum error (*enter)(void *context, const struct fs_copied *);
	enum error (*piece)(void *context, const void *, size_t);
	enum error (*leave)(void *context, const struct fs_copied *);
	/* A device isn't there, or a file can't be had: fail() says why; the rest goes on. */
	void (*failed)(void *context);
	bool (*going_on)(void *context); /* false: no more is entered */
	void *context;
};

/*
 * Copies the tree as a sealed mount shows it, all below the top; the escrow is open as
 * ESCROW_SEALED. With UDIDs only those devices, under /devices and /removed.
 */
enum error fs_copy(struct escrow *, const struct fs_copying *);

#endif

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
	int connection; /* somebody else has mounted there, and passed this descriptor on; -1: not so */
	int threads; /* requests at a time, but those that wait for the disk; 0: two */
	int end_fd;  /* serving ends, too, when it can be read from or hangs up; -1: none */
	/*
	 * Called by the thread that waits for the end: when `wake_fd` can be read from or hangs up, until
	 * it returns false; and when this process gets a SIGHUP.
	 */
	int wake_fd; /* -1: none */
	bool (*wake)(void *context);
	void (*hung_up)(void *context); /* NULL: SIGHUP means nothing */
	bool allow_other;
	bool read_only;
	bool debug;
	/*
	 * Called once it is mounted, before there is any other thread and before a request is answered:
	 * what is given up there (the right to mount, say) isn't needed any more. NULL: nothing.
	 */
	enum error (*confine)(void *context);
};

/*
 * The descriptor N of a mount point /dev/fd/N: somebody else has mounted, mount.fuse3(8) say, and
 * passed the open connection on. -1: it is a path.
 */
int fs_mountpoint_passed(const char *path);

/*
 * Is `path` fit to be mounted on? ERR_NOT_FOUND, ERR_INVALID (not a directory), ERR_NOT_EMPTY,
 * ERR_BUSY (something is mounted there). A dead mount of ours (its daemon was killed; the kernel
 * answers ENOTCONN) is unmounted first.
 */
enum error fs_mountpoint_check(const char *path);

/*
 * Mounts `source` at `path` for another process, which is given the connection and serves it: with
 * allow_other and default_permissions. Nothing there answers until it does. Root only. ERR_ACCESS.
 */
enum error fs_mountpoint_connect(const char *source, const char *path, int *connection);

/*
 * Unmounts a dead mount of ours at `path`, if that is what is there: one whose daemon has ended.
 * Safe in a process that has no right but that one.
 */
void fs_mountpoint_clear(const char *path);

/*
 * Mounts and serves until it is unmounted or SIGTERM or SIGINT comes. `ready` is called
 * once requests are answered; those two signals are ignored afterwards. What it leaves is a dead mount, unless somebody unmounted:
 * fs_mountpoint_clear() is for a process that may unmount.
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

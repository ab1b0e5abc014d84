#ifndef FS_REPLY_H
#define FS_REPLY_H

#include "error.h"
#include "fuse.h"
#include "secret.h"

struct handle;

/*
 * An answer that can wait: requests that may have changed something are answered after the kernel
 * was told of it (changes.h), by another thread than the one that handled them.
 */
enum reply_kind {
	REPLY_ERROR, /* error 0 too: done */
	REPLY_ENTRY,
	REPLY_ATTR, /* entry.attr for entry.attr_timeout */
	REPLY_OPEN,
	REPLY_WRITTEN,
	REPLY_DATA,
};

struct reply {
	enum reply_kind kind;
	int error;
	struct fuse_entry_param entry;
	struct fuse_file_info file;
	size_t written;
	struct secret data;
};

/* The errno of an error. This table is where it is chosen. */
int reply_errno(enum error);

struct reply reply_error(enum error);

/*
 * Sends it and frees what it holds. When the caller of an open was interrupted and won't have the
 * descriptor, its handle is freed.
 */
void reply_send(fuse_req_t, struct reply *);

#endif

#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "content.h"
#include "inside.h"

/*
 * An open file. What it shows is settled when it is opened: a token was audited as it was then.
 * All handles are on the mount's list, so that what they hold is wiped also when the mount ends
 * with descriptors open.
 */
struct handle {
	struct fs *fs;
	atomic_int users; /* the descriptor, and reads that are being answered */
	struct handle *next, *before;
	const struct entry *entry;
	int64_t device;	       /* 0: none */
	struct writer *writer; /* NULL: not open for writing */
	struct secret token;   /* token: what was retrieved */
	struct holding holding;
	struct content *text;  /* other files: what they said when opened; NULL: nothing */
	bool direct;	       /* read past the page cache */
	pthread_mutex_t mutex; /* over text and the next four */
	int64_t change;	       /* the change number that the text belongs to */
	int64_t told;	       /* when it was last compared with what the kernel was told */
	uint64_t piece;	       /* metrics: the text that it has read a part of; 0: none */
	size_t size;	       /* the last one's length */
};

/* Of a node that was found when the kernel had been `told` that much. ERR_MEMORY. Ends with handle_drop(). */
enum error handle_new(struct fs *, const struct node *, int64_t told, struct handle **);

/*
 * The last one to drop it ends its writer, and it is nobody's. A read answers out of the handle's memory,
 * and its caller may have the answer, and close, before the answering call returns here: it holds
 * the handle meanwhile.
 */
void handle_hold(struct handle *);
void handle_drop(struct handle *);

/* What is still open when the mount has ended, and what was kept for what would be. */
void handle_free_all(struct fs *);

struct handle *handle_of(const struct fuse_file_info *);
void handle_put(struct fuse_file_info *, struct handle *);

#endif

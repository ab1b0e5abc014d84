#ifndef FS_CHANGES_H
#define FS_CHANGES_H

#include "inside.h"

/*
 * Telling the kernel what changed, so that it can keep what didn't: changes.c says how, and why
 * it can't deadlock. In a sealed mount nothing changes, and all of this does nothing.
 */

/* ERR_MEMORY, and the store's. Stopped with changes_stop(), freed with changes_free(). */
enum error changes_new(struct fs *, struct changes **);
enum error changes_start(struct changes *);
/* Answers what waits, and from there on every request at once. Workers still run. */
void changes_stop(struct changes *);
void changes_free(struct changes *);

/*
 * Answers a request that may have changed something, or whose answer presumes that the kernel
 * knows the newest state: at once when the kernel was told of everything, else when it is. Takes
 * what the reply holds. The last thing that a handler does: it may tell the kernel, and answer others.
 */
void changes_answer(struct changes *, fuse_req_t, struct reply *);

/*
 * The same for a request whose answer presumes nothing: at once, too, if this worker made no change for
 * it. (Whoever makes one waits for the disk, and stepped aside before: workers.h.)
 */
void changes_answer_own(struct changes *, fuse_req_t, struct reply *);

/*
 * Owner, mode or ACL of this node was set: where it is a policy, that of every device may have
 * changed.
 */
void changes_access(struct changes *, const struct node *);

/* The change number up to which the kernel was told. */
int64_t changes_told(const struct changes *);
/*
 * The same, for a read of a kept file: announces that an older text may be on its way to the page
 * cache.
 */
int64_t changes_reading(struct changes *);

/* When the last device came or went. */
int64_t changes_devices_at(const struct changes *);

#endif

#ifndef FS_FILE_H
#define FS_FILE_H

#include "handle.h"

/*
 * What a regular file of the tree does. Opening, closing and writing are the same for all
 * (file.c); here is where they differ. A missing function means: nothing special, or an empty
 * text.
 */
struct file {
	/* Size and times into `attr`; the rest is there. */
	enum error (*stat)(struct fs *, const struct node *, struct stat *attr);
	/* Settles what the descriptor will read; only for descriptors that may be read. */
	enum error (*open)(struct handle *, const struct node *, const struct actor *,
			   struct fuse_file_info *);
	/* Answers the request. NULL: the handle's text is read. */
	void (*read)(struct handle *, fuse_req_t, size_t, off_t, const struct fuse_file_info *);
	bool recorded; /* to open it for reading is an event */
	bool writable;
	enum writer_target target; /* what takes what is written to it */
	const char *why_not;	   /* not writable: what the trail says about a try */
};

extern const struct file file_token, file_security, file_status, file_checkin, file_trail,
	file_metrics, file_policy, file_version, file_about;

/* Answers an open of a sealed mount's file or directory, which hands out nothing. */
void file_unopened(fuse_req_t, struct fuse_file_info *);
/*
 * What a regular file of a sealed escrow says, with no descriptor: a handle as if it had been opened. On an
 * error, too, the caller drops it unless it is NULL, as it was.
 */
enum error file_settle(struct fs *, const struct node *, struct handle **out);

/* Answers with the bytes of a text that is read by offset. */
void file_reply_text(fuse_req_t, const void *text, size_t len, size_t size, off_t offset);
void file_reply_content(fuse_req_t, const struct content *, size_t size, off_t offset);

#endif

/*
 * Names to inodes. A name that isn't there is not remembered by the kernel: another process may
 * make the device. Nothing is counted: a number says what it stands for, and forgetting one frees
 * nothing.
 */
#include "inside.h"

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct node directory, node;
	struct fuse_entry_param entry;
	enum error result = node_find(fs, parent, &directory);
	if (!result)
		result = node_child(fs, &directory, name, &node);
	if (!result)
		result = node_entry(fs, &node, &entry);
	if (result)
		fuse_reply_err(req, reply_errno(result));
	else
		fuse_reply_entry(req, &entry);
}

void op_forget(fuse_req_t req, fuse_ino_t number, uint64_t lookups)
{
	(void)number;
	(void)lookups;
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

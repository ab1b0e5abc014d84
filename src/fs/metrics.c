/* /metrics: counters as they are when the file is opened. */
#include "file.h"

static enum error metrics_stat(struct fs *fs, const struct node *node, struct stat *attr)
{
	(void)node;
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_metrics(fs->escrow, &text));
	attr->st_size = (off_t)text.len;
	attr->st_mtim = attr->st_atim = attr->st_ctim = time_spec(time_now());
	return OK;
}

static enum error metrics_open(struct handle *handle, const struct node *node,
			       const struct actor *actor, struct fuse_file_info *info)
{
	(void)node;
	(void)actor;
	info->direct_io = 1;
	return escrow_metrics(handle->fs->escrow, &handle->text);
}

const struct file file_metrics = {
	.stat = metrics_stat,
	.open = metrics_open,
	.why_not = "counters can't be set",
};

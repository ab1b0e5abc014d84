/*
 * What an open descriptor has.
 *
 * MUST: with the descriptor its token goes from memory. (test: memory.bats, "no token is left")
 */
#include "handle.h"

#include <stdlib.h>

enum error handle_new(struct fs *fs, const struct node *node, int64_t told, struct handle **out)
{
	/* (glibc's calloc(3) takes nothing of what a thread gave back.) */
	struct handle *handle = malloc(sizeof *handle);
	if (!handle)
		return fail(ERR_MEMORY, "out of memory");
	*handle = (struct handle){
		.fs = fs,
		.users = 1,
		.entry = node->entry,
		.device = node_is_past(node, PAST_VERSION) ? 0 : node->device.id,
		.told = told,
	};
	pthread_mutex_init(&handle->mutex, NULL);

	pthread_mutex_lock(&fs->mutex);
	handle->next = fs->handles;
	if (handle->next)
		handle->next->before = handle;
	fs->handles = handle;
	pthread_mutex_unlock(&fs->mutex);
	*out = handle;
	return OK;
}

static void handle_free(struct handle *handle)
{
	struct fs *fs = handle->fs;
	pthread_mutex_lock(&fs->mutex);
	if (handle->before)
		handle->before->next = handle->next;
	else
		fs->handles = handle->next;
	if (handle->next)
		handle->next->before = handle->before;
	pthread_mutex_unlock(&fs->mutex);

	writer_free(handle->writer);
	secret_free(&handle->token);
	escrow_let_go(fs->escrow, &handle->holding);
	content_drop(handle->text);
	pthread_mutex_destroy(&handle->mutex);
	free(handle);
}

void handle_hold(struct handle *handle)
{
	atomic_fetch_add(&handle->users, 1);
}

void handle_drop(struct handle *handle)
{
	if (handle && atomic_fetch_sub(&handle->users, 1) == 1)
		handle_free(handle);
}

void handle_free_all(struct fs *fs)
{
	struct handle *next;
	for (struct handle *handle = fs->handles; handle; handle = next) {
		next = handle->next;
		handle_drop(handle);
	}
}

struct handle *handle_of(const struct fuse_file_info *info)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): the number is how libfuse keeps a pointer */
	return (struct handle *)(uintptr_t)info->fh;
}

void handle_put(struct fuse_file_info *info, struct handle *handle)
{
	info->fh = (uintptr_t)handle;
}

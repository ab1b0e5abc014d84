/*
 * What an open descriptor has.
 *
 * MUST: with the descriptor its token goes from memory. (test: memory.bats, "no token is left")
 */
#include "handle.h"

#include <stdlib.h>

#define SPARE 64 /* handles that are kept */

enum error handle_new(struct fs *fs, const struct node *node, int64_t told, struct handle **out)
{
	pthread_mutex_lock(&fs->mutex);
	struct handle *handle = fs->spare;
	if (handle) {
		fs->spare = handle->next;
		fs->spare_count--;
	} else {
		handle = malloc(sizeof *handle);
	}
	if (handle) {
		*handle = (struct handle){
			.fs = fs,
			.users = 1,
			.entry = node->entry,
			.device = node_is_past(node, PAST_VERSION) ? 0 : node->device.id,
			.told = told,
			.next = fs->handles,
		};
		pthread_mutex_init(&handle->mutex, NULL);
		if (handle->next)
			handle->next->before = handle;
		fs->handles = handle;
	}
	pthread_mutex_unlock(&fs->mutex);
	*out = handle;
	return handle ? OK : fail(ERR_MEMORY, "out of memory");
}

/* Off the list: a file is opened and closed again in no time, and some are kept for the next. */
static void set_aside(struct fs *fs, struct handle *handle)
{
	pthread_mutex_lock(&fs->mutex);
	if (handle->before)
		handle->before->next = handle->next;
	else
		fs->handles = handle->next;
	if (handle->next)
		handle->next->before = handle->before;
	/* (Builds for sanitizers and valgrind look at what is freed.) */
	bool kept = fs->spare_count < SPARE && secret_wipes_frees();
	if (kept) {
		handle->next = fs->spare;
		fs->spare = handle;
		fs->spare_count++;
	}
	pthread_mutex_unlock(&fs->mutex);
	if (!kept)
		free(handle);
}

static void handle_free(struct handle *handle)
{
	writer_free(handle->writer);
	secret_free(&handle->token);
	escrow_let_go(handle->fs->escrow, &handle->holding);
	content_drop(handle->text);
	pthread_mutex_destroy(&handle->mutex);
	set_aside(handle->fs, handle);
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
	for (struct handle *spare = fs->spare; spare; spare = next) {
		next = spare->next;
		free(spare);
	}
	fs->spare = NULL;
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

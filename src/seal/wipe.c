/*
 * A free() that wipes, for the whole process.
 *
 * Libraries copy: libplist, jansson, SQLite and OpenSSL keep bytes of a token in blocks of the C
 * library's heap and free them without a thought, and there they would lie until somebody else gets
 * the block. This program's own free() and realloc(), which the libraries call too, overwrite a
 * block first and then hand it to the C library's. Everything else of malloc(3) stays as it is.
 *
 * realloc() may not leave that to the C library's, which frees the old place by itself when it moves
 * a block. So it moves blocks itself, and takes a quarter more than it is asked for: somebody who
 * grows a block in small steps pays for few copies.
 *
 * MUST: a freed block's bytes are gone, whoever frees it. (test: free_wipes)
 * MUST: so are those that realloc() leaves behind. (test: realloc_wipes)
 *
 * Sanitizers and valgrind replace free() as well; -DNO_WIPING_FREE leaves this one out.
 */
#include "wipe.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
	__has_feature(memory_sanitizer) || defined(NO_WIPING_FREE)

bool wipe_frees(void)
{
	return false;
}

#else

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The C library's own, under the names that it exports for those who replace malloc(3). */
extern void __libc_free(void *);
extern void *__libc_malloc(size_t);
extern void *__libc_realloc(void *, size_t);

bool wipe_frees(void)
{
	return true;
}

static void wipe(void *block, size_t from, size_t to)
{
	explicit_bzero((char *)block + from, to - from);
}

void free(void *block)
{
	if (block)
		wipe(block, 0, malloc_usable_size(block));
	__libc_free(block);
}

static void *move(void *block, size_t usable, size_t size)
{
	size_t roomy = usable + usable / 4;
	void *place = roomy > size ? __libc_malloc(roomy) : NULL;
	if (!place)
		place = __libc_malloc(size);
	if (!place)
		return NULL;
	memcpy(place, block, usable);
	free(block);
	return place;
}

void *realloc(void *block, size_t size)
{
	if (!block)
		return __libc_malloc(size);
	if (!size) {
		free(block);
		return NULL;
	}
	size_t usable = malloc_usable_size(block);
	if (size > usable)
		return move(block, usable, size);
	if (size > usable / 2)
		return block;
	/* A block that shrinks stays where it is. */
	wipe(block, size, usable);
	return __libc_realloc(block, size);
}

#endif

/* A table of 64-bit marks, open addressing; a quarter of it is free at least. */
#include "sources/seen.h"

#include "text.h"

#include <stdlib.h>

struct seen {
	uint64_t *mark;	    /* 0: free */
	size_t size, count; /* size: a power of two */
};

#define FIRST_SIZE 1024

enum error seen_new(struct seen **out)
{
	struct seen *seen = calloc(1, sizeof *seen);
	if (seen)
		seen->mark = calloc(FIRST_SIZE, sizeof *seen->mark);
	if (!seen || !seen->mark) {
		free(seen);
		return fail(ERR_MEMORY, "out of memory");
	}
	seen->size = FIRST_SIZE;
	*out = seen;
	return OK;
}

void seen_free(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->mark);
	free(seen);
}

/* True: it was there before. */
static bool put(uint64_t *table, size_t size, uint64_t mark)
{
	size_t i = (size_t)mark & (size - 1);
	for (; table[i]; i = (i + 1) & (size - 1))
		if (table[i] == mark)
			return true;
	table[i] = mark;
	return false;
}

static enum error grow(struct seen *seen)
{
	size_t size = seen->size * 2;
	uint64_t *table = calloc(size, sizeof *table);
	if (!table)
		return fail(ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < seen->size; i++)
		if (seen->mark[i])
			(void)put(table, size, seen->mark[i]);
	free(seen->mark);
	seen->mark = table;
	seen->size = size;
	return OK;
}

static enum error mark(struct seen *seen, uint64_t value, bool *before)
{
	if (seen->count * 4 >= seen->size * 3)
		TRY(grow(seen));
	*before = put(seen->mark, seen->size, value ? value : 1);
	seen->count += !*before;
	return OK;
}

/* FNV-1a of the folded name. */
static uint64_t mark_of(const char *udid)
{
	char folded[UDID_MAX + 1];
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	text_fold(udid, folded, sizeof folded);
	for (const char *c = folded; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash;
}

enum error seen_before(struct seen *seen, const char *udid, struct arrived *arrived)
{
	bool before;
	if (arrived->device_new) {
		TRY(mark(seen, mark_of(udid), &before));
		arrived->device_new = !before;
	}
	if (arrived->tokens_new == 1 && arrived->token_tag) {
		TRY(mark(seen, arrived->token_tag, &before));
		arrived->tokens_new -= before;
		arrived->tokens_same += before;
	}
	return OK;
}

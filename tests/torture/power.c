/*
 * Power loss. Writes go to the file at once, where other connections find them; what was there before is
 * kept until the file is synced, sector by sector. When the power goes out any of what isn't synced may
 * be on disk and any may not: a page may be torn between two sectors of 512 bytes, a later write may be
 * there without an earlier one, and the file may be as long as it was. Then the process dies.
 *
 * Four kinds of disk take turns, by the seed: one that had written nothing, one that had written all, one
 * that writes in order, and one that doesn't.
 *
 * The caller holds the disk's lock.
 */
#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

struct before {
	int64_t sector;
	uint8_t bytes[SECTOR];
};

struct platter {
	struct platter *next;
	char path[512];
	struct before *list; /* oldest first */
	size_t count, cap;
	int64_t size; /* as it was synced; -1: nothing has changed since */
};

static struct platter *platters;

struct platter *platter_of(const char *path)
{
	struct platter *platter = platters;
	while (platter && strcmp(platter->path, path) != 0)
		platter = platter->next;
	if (platter)
		return platter;
	platter = calloc(1, sizeof *platter);
	if (!platter)
		return NULL;
	snprintf(platter->path, sizeof platter->path, "%s", path);
	platter->size = -1;
	platter->next = platters;
	return platters = platter;
}

void platter_touch(struct platter *platter, int64_t offset, const void *before, int64_t len,
		   int64_t size)
{
	if (platter->size < 0)
		platter->size = size;
	for (int64_t at = 0; at < len; at += SECTOR) {
		if (platter->count == platter->cap) {
			size_t cap = platter->cap ? 2 * platter->cap : 64;
			struct before *list = realloc(platter->list, cap * sizeof *list);
			if (!list)
				abort();
			platter->list = list;
			platter->cap = cap;
		}
		struct before *one = &platter->list[platter->count++];
		int64_t n = len - at < SECTOR ? len - at : SECTOR;
		*one = (struct before){.sector = offset + at};
		memcpy(one->bytes, (const char *)before + at, (size_t)n);
	}
}

void platter_settle(struct platter *platter)
{
	platter->count = 0;
	platter->size = -1;
}

/* ---- what of it is on disk ---- */

static uint64_t state;

static uint64_t dice(uint64_t sides)
{
	state += 0x9e3779b97f4a7c15U;
	uint64_t z = state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (z ^ (z >> 31)) % sides;
}

/* From the newest on: what was written last is undone first. */
static void lose(const struct platter *platter, uint64_t kind)
{
	int fd = open(platter->path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	int64_t now = lseek(fd, 0, SEEK_END);
	size_t survive = kind == 0 ? 0 : kind == 1 ? platter->count : dice(platter->count + 1);
	for (size_t i = platter->count; i-- > 0;) {
		bool lost = kind == 3 ? dice(2) : i >= survive;
		if (lost)
			(void)!pwrite(fd, platter->list[i].bytes, SECTOR, platter->list[i].sector);
	}
	bool old_size = kind == 0 || (kind > 1 && dice(2));
	(void)!ftruncate(fd, old_size ? platter->size : now);
	close(fd);
}

void power_out(void)
{
	state = (uint64_t)atomic_load(&disk->seed);
	uint64_t kind = dice(4);
	for (const struct platter *platter = platters; platter; platter = platter->next)
		if (platter->size >= 0)
			lose(platter, kind);
	atomic_store(&disk->is_out, 1);
	__builtin_trap();
}

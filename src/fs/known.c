/*
 * Two tables of sets, one of devices, one of texts: a device's number says which set it is in. Of some more
 * devices than a set holds, looked at in turns, none would be found there again if whoever came first made
 * room: so it is one at random, sets are large, and numbers are scattered over them. There are more devices
 * than texts: a program that walks through thousands looks at all of them first, and then opens one after
 * the other.
 *
 * Whoever walks through the devices comes by in the order of their numbers, as they are listed. So who
 * follows the last one that the store was asked for gets some more, for the next to be known.
 *
 * A name leads to the number that it had when it was last asked for, and the device of that number says
 * whether it is still called so: names need no forgetting.
 *
 * Who asks the store may have the old answer when the device has changed and has been forgotten since:
 * that answer would stay. So whoever asks takes the count of what was forgotten first, and what he got
 * is put down only if nothing was since. The set's mutex is held over both that look and the putting
 * down, and whoever forgets counts before he takes it: either he comes later and clears the place, or
 * the look finds his count. A text is the one of a change of its device, and never of another.
 */
#include "known.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 32
#define SET_BITS 8    /* 2^SET_BITS * PLACES: the devices that are known at most */
#define TEXT_BITS 5   /* the same of texts */
#define NAME_BITS 13  /* of names: as many as devices */
#define AHEAD 32      /* so many numbers are asked for at once */
#define NEAR 8	      /* they follow one another, even if some devices were taken away */
#define TEXT_MAX 4096 /* longer ones, of which there are few, are asked for each time */

#define SETS (1 << SET_BITS)
#define TEXT_SETS (1 << TEXT_BITS)
#define NAMES (1 << NAME_BITS)

struct set {
	pthread_mutex_t mutex;
	uint32_t turn;	    /* whose it is to make room: any will do, in no order */
	int64_t id[PLACES]; /* whose places they are, side by side; 0: nobody's */
};

/* What is looked through is apart from what is found: the processor's caches have all of the one. */
struct known {
	atomic_uint_fast64_t forgotten;
	atomic_int_fast64_t asked; /* the last number that the store was asked for */
	_Atomic int64_t named[NAMES];
	struct set sets[SETS], text_sets[TEXT_SETS];
	struct device device[SETS][PLACES];
	struct text {
		int64_t change;
		struct content *content;
	} text[TEXT_SETS][PLACES];
};

enum error known_new(struct known **out)
{
	struct known *known = calloc(1, sizeof *known);
	if (!known)
		return fail(ERR_MEMORY, "out of memory");
	for (int i = 0; i < SETS; i++)
		pthread_mutex_init(&known->sets[i].mutex, NULL);
	for (int i = 0; i < TEXT_SETS; i++)
		pthread_mutex_init(&known->text_sets[i].mutex, NULL);
	*out = known;
	return OK;
}

void known_free(struct known *known)
{
	if (!known)
		return;
	for (int i = 0; i < SETS; i++)
		pthread_mutex_destroy(&known->sets[i].mutex);
	for (int i = 0; i < TEXT_SETS; i++) {
		for (int j = 0; j < PLACES; j++)
			content_drop(known->text[i][j].content);
		pthread_mutex_destroy(&known->text_sets[i].mutex);
	}
	free(known);
}

/* Numbers that follow one another, as a fleet's do, come apart as far as can be: the golden ratio's bits. */
static size_t scatter(int64_t id, int bits)
{
	return (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits);
}

/* FNV-1a. */
static size_t scatter_name(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return scatter((int64_t)hash, NAME_BITS);
}

/* Where it is looked for first: bits of it that don't say which set it is in. */
static int first_place(int64_t id)
{
	return (int)(scatter(id, 32) % PLACES);
}

/* From there on, round about. -1: it has no place. */
static int find_from(const struct set *set, int first, int64_t id)
{
	for (int i = 0; i < PLACES; i++)
		if (set->id[(first + i) % PLACES] == id)
			return (first + i) % PLACES;
	return -1;
}

static int find(const struct set *set, int64_t id)
{
	return find_from(set, first_place(id), id);
}

/* Its place, or the one of whoever makes room for it. */
static int place_for(struct set *set, int64_t id)
{
	int place = find(set, id);
	if (place < 0)
		place = find_from(set, first_place(id), 0);
	if (place < 0) {
		set->turn = set->turn * 1664525 + 1013904223;
		place = (int)(set->turn >> 16) % PLACES;
	}
	set->id[place] = id;
	return place;
}

/* ---- looking ---- */

static bool look(struct known *known, int64_t id, struct device *out)
{
	if (!known)
		return false;
	size_t at = scatter(id, SET_BITS);
	struct set *set = &known->sets[at];
	pthread_mutex_lock(&set->mutex);
	int place = find(set, id);
	if (place >= 0)
		*out = known->device[at][place];
	pthread_mutex_unlock(&set->mutex);
	return place >= 0;
}

/* What it says of the device as it is there. */
static bool look_text(struct known *known, const struct device *device, struct content **text)
{
	size_t at = scatter(device->id, TEXT_BITS);
	struct set *set = &known->text_sets[at];
	pthread_mutex_lock(&set->mutex);
	int place = find(set, device->id);
	bool found = place >= 0 && known->text[at][place].change == device->change;
	if (found)
		*text = content_hold(known->text[at][place].content);
	pthread_mutex_unlock(&set->mutex);
	return found;
}

static uint64_t count_of(struct known *known)
{
	return known ? atomic_load(&known->forgotten) : 0;
}

static void keep(struct known *known, uint64_t count, const struct device *device)
{
	if (!known)
		return;
	size_t at = scatter(device->id, SET_BITS);
	struct set *set = &known->sets[at];
	pthread_mutex_lock(&set->mutex);
	if (atomic_load(&known->forgotten) == count)
		known->device[at][place_for(set, device->id)] = *device;
	pthread_mutex_unlock(&set->mutex);
	atomic_store(&known->named[scatter_name(device->udid)], device->id);
}

static void clear(struct known *known, int64_t id)
{
	struct set *set = &known->sets[scatter(id, SET_BITS)];
	pthread_mutex_lock(&set->mutex);
	int place = find(set, id);
	if (place >= 0)
		set->id[place] = 0;
	pthread_mutex_unlock(&set->mutex);
}

static void keep_text(struct known *known, const struct device *device, struct content *content)
{
	if (!known || content->len > TEXT_MAX)
		return;
	size_t at = scatter(device->id, TEXT_BITS);
	struct set *set = &known->text_sets[at];
	pthread_mutex_lock(&set->mutex);
	struct text *text = &known->text[at][place_for(set, device->id)];
	content_drop(text->content);
	*text = (struct text){device->change, content_hold(content)};
	pthread_mutex_unlock(&set->mutex);
}

struct ahead {
	struct known *known;
	uint64_t count;
};

static bool keep_ahead(void *context, const struct device *device)
{
	const struct ahead *ahead = context;
	keep(ahead->known, ahead->count, device);
	return true;
}

/* The store was asked for this one. (What comes of asking for more is nobody's answer.) */
static void read_ahead(struct fs *fs, int64_t id)
{
	if (!fs->known)
		return;
	int64_t last = atomic_exchange(&fs->known->asked, id);
	if (id <= last || id > last + NEAR)
		return;
	struct ahead ahead = {fs->known, count_of(fs->known)};
	if (!escrow_devices_between(fs->escrow, id, id + AHEAD, keep_ahead, &ahead))
		atomic_store(&fs->known->asked, id + AHEAD);
}

enum error known_anew(struct fs *fs, int64_t id, struct device *out)
{
	uint64_t count = count_of(fs->known);
	enum error found = escrow_device(fs->escrow, id, out);
	if (!found)
		keep(fs->known, count, out);
	else if (found == ERR_GONE && fs->known)
		clear(fs->known, id); /* or its name would go on leading to it */
	return found;
}

enum error known_device(struct fs *fs, int64_t id, struct device *out)
{
	if (look(fs->known, id, out))
		return OK;
	TRY(known_anew(fs, id, out));
	read_ahead(fs, id);
	return OK;
}

enum error known_named(struct fs *fs, const char *udid, struct device *out)
{
	int64_t id = fs->known ? atomic_load(&fs->known->named[scatter_name(udid)]) : 0;
	if (id && look(fs->known, id, out) && strcmp(out->udid, udid) == 0)
		return OK;
	uint64_t count = count_of(fs->known);
	TRY(escrow_device_named(fs->escrow, udid, out));
	keep(fs->known, count, out);
	read_ahead(fs, out->id);
	return OK;
}

enum error known_security(struct fs *fs, int64_t id, struct device *out, struct content **text)
{
	if (look(fs->known, id, out) && look_text(fs->known, out, text))
		return OK;
	SCOPED(bytes_free) struct bytes made = {0};
	uint64_t count = count_of(fs->known);
	TRY(escrow_security(fs->escrow, id, &made, out));
	TRY(content_take(&made, text));
	keep(fs->known, count, out);
	keep_text(fs->known, out, *text);
	return OK;
}

/* ---- forgetting ---- */

void known_forget(struct known *known, int64_t id)
{
	atomic_fetch_add(&known->forgotten, 1);
	clear(known, id);
}

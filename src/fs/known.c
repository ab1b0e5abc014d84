/*
 * A table of sets: a device's number says which set it is in, and within it whoever came first makes
 * room. Numbers that follow one another, as those of a fleet do, fill all sets alike; those of some
 * devices that are looked at again and again don't, and of one more than a set holds none is ever found
 * there. So sets are few and large.
 *
 * Who asks the store may have the old answer when the device has changed and has been forgotten since:
 * that answer would stay. So whoever asks takes the count of what was forgotten first, and what he got
 * is put down only if nothing was since. The set's mutex is held over both that look and the putting
 * down, and whoever forgets counts before he takes it: either he comes later and clears the place, or
 * the look finds his count.
 */
#include "known.h"

#include <stdlib.h>

#define SETS 64 /* times PLACES: the devices that are known at most */
#define PLACES 32
#define TEXT_MAX 4096 /* longer ones, of which there are few, are asked for each time */

struct place {
	struct device device;
	struct content *security; /* NULL: nobody asked for it */
};

struct set {
	pthread_mutex_t mutex;
	unsigned next;	    /* the place whose turn it is */
	int64_t id[PLACES]; /* whose places they are, side by side; 0: nobody's */
	struct place places[PLACES];
};

struct known {
	atomic_uint_fast64_t forgotten;
	struct set sets[SETS];
};

enum error known_new(struct known **out)
{
	struct known *known = calloc(1, sizeof *known);
	if (!known)
		return fail(ERR_MEMORY, "out of memory");
	for (int i = 0; i < SETS; i++)
		pthread_mutex_init(&known->sets[i].mutex, NULL);
	*out = known;
	return OK;
}

void known_free(struct known *known)
{
	if (!known)
		return;
	for (int i = 0; i < SETS; i++) {
		for (int j = 0; j < PLACES; j++)
			content_drop(known->sets[i].places[j].security);
		pthread_mutex_destroy(&known->sets[i].mutex);
	}
	free(known);
}

static struct set *set_of(struct known *known, int64_t id)
{
	return &known->sets[(uint64_t)id % SETS];
}

static struct place *find(struct set *set, int64_t id)
{
	for (int i = 0; i < PLACES; i++)
		if (set->id[i] == id)
			return &set->places[i];
	return NULL;
}

/* ---- looking ---- */

/* False: it isn't known. `text` NULL: the device alone is wanted. */
static bool look(struct known *known, int64_t id, struct device *out, struct content **text)
{
	if (!known)
		return false;
	struct set *set = set_of(known, id);
	pthread_mutex_lock(&set->mutex);
	const struct place *place = find(set, id);
	bool found = place && (!text || place->security);
	if (found)
		*out = place->device;
	if (found && text)
		*text = content_hold(place->security);
	pthread_mutex_unlock(&set->mutex);
	return found;
}

static uint64_t count_of(struct known *known)
{
	return known ? atomic_load(&known->forgotten) : 0;
}

static void keep(struct known *known, uint64_t count, const struct device *device,
		 struct content *text)
{
	if (!known)
		return;
	struct set *set = set_of(known, device->id);
	pthread_mutex_lock(&set->mutex);
	if (atomic_load(&known->forgotten) == count) {
		struct place *place = find(set, device->id);
		if (!place) {
			unsigned turn = set->next++ % PLACES;
			place = &set->places[turn];
			set->id[turn] = device->id;
		}
		if (place->device.id != device->id || place->device.change != device->change) {
			content_drop(place->security);
			place->security = NULL;
		}
		place->device = *device;
		if (text && !place->security && text->len <= TEXT_MAX)
			place->security = content_hold(text);
	}
	pthread_mutex_unlock(&set->mutex);
}

enum error known_anew(struct fs *fs, int64_t id, struct device *out)
{
	uint64_t count = count_of(fs->known);
	TRY(escrow_device(fs->escrow, id, out));
	keep(fs->known, count, out, NULL);
	return OK;
}

enum error known_device(struct fs *fs, int64_t id, struct device *out)
{
	return look(fs->known, id, out, NULL) ? OK : known_anew(fs, id, out);
}

enum error known_named(struct fs *fs, const char *udid, struct device *out)
{
	uint64_t count = count_of(fs->known);
	TRY(escrow_device_named(fs->escrow, udid, out));
	keep(fs->known, count, out, NULL);
	return OK;
}

enum error known_security(struct fs *fs, int64_t id, struct device *out, struct content **text)
{
	if (look(fs->known, id, out, text))
		return OK;
	SCOPED(bytes_free) struct bytes made = {0};
	uint64_t count = count_of(fs->known);
	TRY(escrow_security(fs->escrow, id, &made, out));
	TRY(content_take(&made, text));
	keep(fs->known, count, out, *text);
	return OK;
}

/* ---- forgetting ---- */

void known_forget(struct known *known, int64_t id)
{
	struct set *set = set_of(known, id);
	atomic_fetch_add(&known->forgotten, 1);
	pthread_mutex_lock(&set->mutex);
	struct place *place = find(set, id);
	if (place) {
		content_drop(place->security);
		*place = (struct place){0};
		set->id[place - set->places] = 0;
	}
	pthread_mutex_unlock(&set->mutex);
}

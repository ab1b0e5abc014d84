#include "patrol.h"

#include "count.h"
#include "inside.h"
#include "log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a tick. A line takes about two microseconds, a device three. */
#define LINES 500
#define DEVICES (2 * DEVICE_PAGE)
/* From the end of a round to the next. */
#define REST (INT64_C(60) * 1000000000)

#define HEX (2 * STORE_DIGEST)

/* The walk along the chain: what is behind it, and what it found. */
struct walk {
	int64_t line;		     /* the last one that was looked at; 0: none in this round */
	uint8_t chain[STORE_DIGEST]; /* that it ends in */
	int64_t furthest;	     /* the last line that was ever seen */
	int64_t rests_until;
	bool broken;
};

struct sweep {
	int64_t after, overdue;
	int64_t rests_until;
};

struct patrol {
	struct walk walk;
	struct sweep sweep;
	atomic_int_fast64_t walked_at, overdue;
	atomic_bool broken;
};

enum error patrol_new(struct patrol **out)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return fail(ERR_MEMORY, "out of memory");
	atomic_init(&(*out)->overdue, -1);
	return OK;
}

void patrol_free(struct patrol *patrol)
{
	free(patrol);
}

void patrol_look(const struct patrol *patrol, struct patrol_report *out)
{
	*out = (struct patrol_report){
		.walked_at = atomic_load(&patrol->walked_at),
		.broken = atomic_load(&patrol->broken),
		.overdue = atomic_load(&patrol->overdue),
	};
}

/* ---- the chain ---- */

struct round {
	struct patrol *patrol;
	const char *path;
	int left; /* lines of this tick */
	enum error failed;
};

/* What comes after the first finding may follow from it. */
static void found(struct round *round, const char *what, int64_t line)
{
	struct walk *walk = &round->patrol->walk;
	if (!walk->broken && !atomic_load(&round->patrol->broken))
		log_say(LOG_LEVEL_ERROR,
			"%s: the audit trail's chain is broken: line %lld %s; `escrowfs verify %s` "
			"says more",
			round->path, (long long)line, what, round->path);
	walk->broken = true;
	atomic_store(&round->patrol->broken, true);
}

/* A line as json_event_write() and trail_add() make it: {"seq":N, ... ,"chain":"HEX"} and a newline. */
static bool split(const char *text, size_t len, int64_t line, size_t *body,
		  uint8_t chain[static STORE_DIGEST])
{
	static const char before[] = ",\"chain\":\"", after[] = "\"}\n";
	const size_t tail = sizeof before - 1 + HEX + sizeof after - 1;
	char start[40], hex[HEX + 1] = "";
	int n = snprintf(start, sizeof start, "{\"seq\":%lld,", (long long)line);
	if (len < (size_t)n + tail || memcmp(text, start, (size_t)n) != 0)
		return false;
	*body = len - tail;
	memcpy(hex, text + *body + sizeof before - 1, HEX);
	return memcmp(text + *body, before, sizeof before - 1) == 0 &&
	       memcmp(text + len - (sizeof after - 1), after, sizeof after - 1) == 0 &&
	       hex_read(hex, STORE_DIGEST, chain);
}

static bool look_at_line(void *context, int64_t row, int64_t at, const char *text, size_t len)
{
	(void)at;
	struct round *round = context;
	struct walk *walk = &round->patrol->walk;
	uint8_t should[STORE_DIGEST] = {0}, is[STORE_DIGEST] = {0};
	size_t body;
	bool whole = split(text, len, row, &body, is);
	if (whole)
		round->failed = trail_chain(walk->chain, text, body, should);
	if (round->failed)
		return false;
	if (row != walk->line + 1)
		found(round, "is missing", walk->line + 1);
	else if (!whole)
		found(round, "is none any more", row);
	else if (memcmp(should, is, sizeof is) != 0)
		found(round, "was changed, or the one before it", row);
	walk->line = row;
	memcpy(walk->chain, is, sizeof is);
	return --round->left > 0;
}

static void begin_again(struct walk *walk, int64_t rests_until)
{
	*walk = (struct walk){.furthest = walk->furthest, .rests_until = rests_until};
}

/* The lines that are next, and whether they end as the store says that they do. */
static enum error walk_on(struct round *round, struct tx *tx, const struct trail_end *end)
{
	struct patrol *patrol = round->patrol;
	struct walk *walk = &patrol->walk;
	TRY(store_trail(tx, walk->line + 1, look_at_line, round));
	TRY(round->failed);
	if (round->left <= 0 && walk->line < end->seq)
		return OK;
	if (walk->line != end->seq)
		found(round, "is missing at the end", walk->line + 1);
	else if (end->seq && memcmp(walk->chain, end->chain, sizeof walk->chain) != 0)
		found(round, "isn't the one that the store ends in", walk->line);
	if (!walk->broken)
		atomic_store(&patrol->broken, false);
	atomic_store(&patrol->walked_at, time_now());
	begin_again(walk, latency_clock() + REST);
	return OK;
}

static enum error step_along_trail(struct patrol *patrol, struct store *store, const char *path)
{
	struct round round = {.patrol = patrol, .path = path, .left = LINES};
	struct walk *walk = &patrol->walk;
	struct trail_end end;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	TRY(store_trail_end(tx, &end));
	if (end.seq < walk->furthest) {
		found(&round, "was there, and isn't any more", walk->furthest);
		/* It stays so until it is mounted again. */
		walk->furthest = INT64_MAX;
		return OK;
	}
	walk->furthest = end.seq;
	return latency_clock() < walk->rests_until ? OK : walk_on(&round, tx, &end);
}

/* ---- devices ---- */

struct page {
	int64_t id[DEVICES];
	int count;
};

static bool fill(void *context, int64_t id, const char *udid)
{
	struct page *page = context;
	(void)udid;
	page->id[page->count++] = id;
	return page->count < DEVICES;
}

static enum error step_along_devices(struct patrol *patrol, struct store *store)
{
	struct sweep *sweep = &patrol->sweep;
	struct page page = {.count = 0};
	int64_t now = time_now();
	if (latency_clock() < sweep->rests_until)
		return OK;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	TRY(store_devices(tx, STATUS_NOT_ESCROWED, sweep->after, DEVICES, fill, &page));
	for (int i = 0; i < page.count; i++) {
		struct device device;
		TRY(store_device(tx, page.id[i], &device));
		sweep->overdue += census_is_overdue(&device, now);
		sweep->after = device.id;
	}
	if (page.count == DEVICES)
		return OK;
	atomic_store(&patrol->overdue, sweep->overdue);
	*sweep = (struct sweep){.rests_until = latency_clock() + REST};
	return OK;
}

/* What can't be read now is read at the next tick. */
void patrol_step(struct patrol *patrol, struct store *store, const char *path)
{
	(void)step_along_trail(patrol, store, path);
	(void)step_along_devices(patrol, store);
}

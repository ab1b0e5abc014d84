/* What an arrival's transaction does with tokens: arrival.h has the rules. */
#include "kept.h"
#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the store has ---- */

bool merge_know(void *context, const struct version *version, const char *udid, bool removed)
{
	struct merge *merge = context;
	(void)udid;
	if (merge->count == merge->cap) {
		int cap = merge->cap ? 2 * merge->cap : 8;
		struct known *more = realloc(merge->known, (size_t)cap * sizeof *more);
		merge->failed = !more;
		if (!more)
			return false;
		merge->known = more;
		merge->cap = cap;
	}
	merge->known[merge->count++] = (struct known){.version = *version, .removed = removed};
	return true;
}

/*
 * Of two that were opened the tokens say it. One that wasn't is the same when the seals are, or
 * when it was opened for this. Where nothing was opened, number and time have to do: nothing is added
 * then, and nothing is lost that the backup doesn't have still.
 */
static bool is_same(const struct kept_version *kept, const struct version *known)
{
	const struct version *told = &kept->version;
	bool same_time = told->escrowed_at && kept_same_time(told->escrowed_at, known->escrowed_at);
	if (kept->state == KEPT_OPENED && known->verified)
		return seal_equal(kept->sealed.mac, known->mac, STORE_DIGEST) &&
		       (!told->number || told->number == known->number || same_time ||
			told->escrowed_at == TIME_UNKNOWN || known->escrowed_at == TIME_UNKNOWN);
	if (memcmp(kept->came_as, known->digest, STORE_DIGEST) == 0)
		return true;
	if (kept->state == KEPT_OPENED)
		return kept->proves.id == known->id &&
		       memcmp(kept->proves.digest, known->digest, STORE_DIGEST) == 0;
	return kept_same_place(told, known);
}

/* One whose number and time fit, before one of which nobody knows the time. */
static struct known *find_same(struct merge *merge, const struct kept_version *kept)
{
	struct known *found = NULL;
	for (int i = 0; i < merge->count; i++) {
		struct known *known = &merge->known[i];
		if (known->arrived || !is_same(kept, &known->version))
			continue;
		if (kept_same_place(&kept->version, &known->version))
			return known;
		found = found ? found : known;
	}
	return found;
}

/*
 * The newest moment that the store knows of the device's tokens, and its current version; of all
 * versions but one, or NULL.
 */
static int64_t newest_known(const struct merge *merge, const struct known *but,
			    struct known **current)
{
	int64_t at = 0;
	*current = NULL;
	for (int i = 0; i < merge->count; i++) {
		struct known *known = &merge->known[i];
		if (known == but)
			continue;
		/* What nobody knows the time of counts for nothing. */
		if (known->version.escrowed_at != TIME_UNKNOWN)
			at = kept_newest(at, kept_newest(kept_last_seen(&known->version),
							 known->version.ended_at));
		if (!known->version.ended_at && !known->removed)
			*current = known;
	}
	return at;
}

static bool number_is_free(const struct merge *merge, int number)
{
	for (int i = 0; i < merge->count; i++)
		if (merge->known[i].version.number == number)
			return false;
	return number > 0 && number <= VERSION_NUMBER_KEPT;
}

/* ---- the trail ---- */

static enum error record_version(struct merge *merge, const struct kept_version *kept,
				 const struct version *version, const char *what)
{
	char blob[2 * STORE_DIGEST + 1], reason[512], at[TEXT_TIME];
	hex_write(version->digest, sizeof version->digest, blob);
	time_text(version->escrowed_at, at);
	snprintf(reason, sizeof reason, "%.300s%s%s%s%s", kept->token->path,
		 version->ended_at ? SAYS_OLD : SAYS_TOKEN, at,
		 version->verified ? "" : SAYS_UNOPENED, what);
	return merge_record(merge, version->number, blob, reason);
}

/* ---- a version that the store doesn't have ---- */

static enum error end(struct merge *merge, struct known *known, int64_t at, enum version_end why)
{
	struct version *version = &known->version;
	version->ended_at = time_later(kept_last_seen(version), at);
	version->end = why;
	merge->dossier.current = -1;
	merge->touched = true;
	merge->arrived->tokens_ended++;
	return store_version_save(merge->tx, version);
}

/* Is it the device's token from now on? `current`: the one that is, or NULL. */
static bool comes_first(const struct merge *merge, const struct kept_version *kept,
			const struct version *version, const struct known *current, int64_t here)
{
	int64_t seen = kept_last_seen(version);
	if (merge->to_past || !kept->token->current)
		return false;
	/* What nobody has opened may hold anything. */
	if (current && current->version.verified && kept->state != KEPT_OPENED)
		return false;
	/* It may have come in the moment in which the one before ended. */
	return kept_later(seen, here) || (!current && !kept_later(here, seen));
}

/*
 * Where it belongs. One that ended stays so; another is the current one if nothing here is newer,
 * and else was replaced by that, wherever it came from.
 */
static enum error place(struct merge *merge, const struct kept_version *kept,
			struct version *version)
{
	struct known *current;
	int64_t here = newest_known(merge, NULL, &current);
	if (version->ended_at)
		return OK;
	if (comes_first(merge, kept, version, current, here))
		return current ? end(merge, current, version->escrowed_at, END_REPLACED) : OK;
	int64_t at = merge->to_past ? kept_newest(here, merge->removed_at) : here;
	version->ended_at = time_later(kept_last_seen(version), at);
	version->end = merge->to_past ? END_REMOVED : END_REPLACED;
	return OK;
}

/* As the device's times and word have it; only of one that wasn't here. */
static enum version_renewal renewal_of(const struct merge *merge, const struct version *version)
{
	const struct device *about = &merge->arrival->about;
	if (!merge->arrived->device_new || version->ended_at)
		return RENEWAL_NONE;
	if (about->status == STATUS_STALE)
		return RENEWAL_SET_UP;
	return kept_later(about->reenrolled_at,
			  kept_newest(kept_last_seen(version), about->proven_at))
		       ? RENEWAL_AUTHENTICATED
		       : RENEWAL_NONE;
}

static void describe(const struct kept_version *kept, struct version *version)
{
	const struct sealed *sealed = &kept->sealed;
	version->verified = kept->state == KEPT_OPENED;
	version->token_size = sealed->size;
	version->generation = sealed->generation;
	memcpy(version->mac, sealed->mac, sizeof version->mac);
	memcpy(version->digest, sealed->digest, sizeof version->digest);
}

static enum error meanwhile(const struct merge *merge)
{
	return fail(ERR_CHANGED, "device %s: its versions changed meanwhile",
		    merge->arrival->kept.udid);
}

/* One that was sealed here; another is of no generation, and is sealed anew by the next rekey. */
static enum error still_sealed(const struct merge *merge, const struct kept_version *kept)
{
	return kept->state == KEPT_OPENED ? sealing_still(merge->tx, kept->sealed.generation) : OK;
}

static enum error add(struct merge *merge, const struct kept_version *kept)
{
	struct version version = kept->version;
	const struct bytes *blob = &kept->sealed.blob;
	if (!blob->len)
		return meanwhile(merge);
	TRY(still_sealed(merge, kept));
	TRY(place(merge, kept, &version));
	if (merge->to_past && !merge->past.id)
		TRY(merge_make_past(merge));
	const struct device *owner = merge->to_past ? &merge->past : &merge->dossier.device;
	version.id = 0;
	version.device = owner->id;
	if (!number_is_free(merge, version.number))
		version.number = 0;
	version.sealed_at = time_later(version.ended_at ? 0 : owner->token_at, merge->now);
	version.renewal = renewal_of(merge, &version);
	describe(kept, &version);
	TRY(store_version_add(merge->tx, &version, blob->data, blob->len));
	TRY(record_version(merge, kept, &version, ""));
	merge->touched = true;
	merge->arrived->tokens_new++;
	merge->arrived->unverified += !version.verified;
	merge->arrived->tokens_past += version.ended_at != 0;
	if (!merge_know(merge, &version, NULL, merge->to_past))
		return fail(ERR_MEMORY, "out of memory");
	merge->known[merge->count - 1].arrived = true;
	return OK;
}

/* ---- one that it has ---- */

/* It was kept aside, since nobody could say what is in it: now it comes to its place. */
static enum error promote(struct merge *merge, const struct kept_version *kept, struct known *known)
{
	struct known *current;
	int64_t here = newest_known(merge, known, &current);
	if (kept->version.ended_at || !known->version.ended_at || known->removed ||
	    !comes_first(merge, kept, &kept->version, current, here))
		return OK;
	if (current)
		TRY(end(merge, current, known->version.escrowed_at, END_REPLACED));
	known->version.ended_at = 0;
	known->version.end = END_NONE;
	return store_version_save(merge->tx, &known->version);
}

/* Nobody had opened it: what arrives shows what is in it. */
static enum error verify(struct merge *merge, const struct kept_version *kept, struct known *known)
{
	struct version *version = &known->version;
	const struct bytes *blob = &kept->sealed.blob;
	if (!blob->len)
		return meanwhile(merge);
	TRY(still_sealed(merge, kept));
	version->sealed_at = time_later(version->sealed_at, merge->now);
	describe(kept, version);
	TRY(store_version_reseal(merge->tx, version, blob->data, blob->len));
	/* A retired key may open the seal that it had. */
	TRY(store_set_unclean(merge->tx, true));
	merge->touched = true;
	TRY(promote(merge, kept, known));
	return record_version(merge, kept, version, ", opened at last");
}

/* Nobody knew when it was escrowed: now somebody tells. */
static enum error date(struct merge *merge, const struct kept_version *kept, struct known *known)
{
	const struct version *told = &kept->version;
	struct version *mine = &known->version;
	mine->escrowed_at = told->escrowed_at;
	mine->confirmed_at = kept_newest(mine->confirmed_at, told->confirmed_at);
	if (told->ended_at && !mine->ended_at)
		TRY(end(merge, known, told->ended_at, told->end));
	if (mine->ended_at) {
		mine->ended_at = time_later(kept_last_seen(mine), told->ended_at);
		mine->end = told->end ? told->end : END_REPLACED;
	}
	merge->touched = true;
	TRY(store_version_save(merge->tx, mine));
	TRY(promote(merge, kept, known));
	return record_version(merge, kept, mine, ", which nobody knew");
}

static enum error confirmed(struct merge *merge, const struct kept_version *kept,
			    struct version *mine)
{
	char reason[480], at[TEXT_TIME];
	mine->confirmed_at = kept->version.confirmed_at;
	merge->touched = true;
	TRY(store_version_save(merge->tx, mine));
	time_text(mine->confirmed_at, at);
	snprintf(reason, sizeof reason, "%.300s" SAYS_CONFIRMED_THERE "%s", kept->token->path, at);
	return merge_record(merge, mine->number, NULL, reason);
}

/*
 * What is told of it may be newer. That it was replaced says its successor, if that comes here: else
 * it stays.
 */
static enum error update(struct merge *merge, const struct kept_version *kept, struct known *known)
{
	const struct version *told = &kept->version;
	struct version *mine = &known->version;
	if (mine->escrowed_at == TIME_UNKNOWN && told->escrowed_at != TIME_UNKNOWN)
		return date(merge, kept, known);
	if (known->removed || mine->ended_at)
		return OK;
	if (told->ended_at && told->end != END_REPLACED &&
	    kept_later(told->ended_at, kept_last_seen(mine))) {
		char reason[480];
		TRY(end(merge, known, told->ended_at, told->end));
		snprintf(reason, sizeof reason, "%.300s" SAYS_ENDED_THERE "%s", kept->token->path,
			 version_end_word(told->end));
		return merge_record(merge, mine->number, NULL, reason);
	}
	return kept_later(told->confirmed_at, kept_last_seen(mine)) ? confirmed(merge, kept, mine)
								    : OK;
}

static enum error take(struct merge *merge, const struct kept_version *kept)
{
	if (kept->state == KEPT_NOTHING)
		return OK;
	struct known *known = find_same(merge, kept);
	if (!known)
		return add(merge, kept);
	known->arrived = true;
	merge->arrived->tokens_same++;
	if (!known->version.verified && kept->state == KEPT_OPENED)
		TRY(verify(merge, kept, known));
	return update(merge, kept, known);
}

/* ---- all of them ---- */

/* Numbers that the device's versions had, also those that didn't arrive, aren't given to others. */
static enum error reserve_numbers(struct merge *merge)
{
	const struct kept_arrival *arrival = merge->arrival;
	int highest = 0;
	for (int i = 0; i < arrival->told_count; i++)
		if (arrival->told[i].number > highest &&
		    arrival->told[i].number <= VERSION_NUMBER_KEPT)
			highest = arrival->told[i].number;
	int64_t device = merge->there ? merge->dossier.device.id : merge->past.id;
	return highest && device ? store_version_reserve(merge->tx, device, highest) : OK;
}

/* Old ones first: what ended before the current one came doesn't end it. */
enum error merge_versions(struct merge *merge)
{
	const struct kept_arrival *arrival = merge->arrival;
	for (int current = 0; current < 2; current++)
		for (int i = 0; i < arrival->kept.count; i++)
			if (arrival->kept.tokens[i].current == current)
				TRY(take(merge, &arrival->versions[i]));
	return reserve_numbers(merge);
}

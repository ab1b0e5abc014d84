/*
 * Verify: does the trail hang together, and do the seals agree with it?
 *
 * The chain is walked from the first line: each line's chain must be the hash of the one before it
 * and of its own bytes, its number one more. A changed line breaks its own chain; a missing,
 * doubled or moved one shows in the numbers. The last line that names a version's blob is what the
 * stored blob must hash to: so an old blob put back by hand is found as well as a flipped bit. A
 * version that is gone is one only when the last line that names it says that it was purged.
 * What those lines said is kept in a tree by device and version.
 */
#include "inside.h"

#include "json.h"

#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct walk {
	struct escrow *escrow;
	const struct escrow_verifying *how;
	struct escrow_verified *out;
	int64_t expected;
	char chain[2 * STORE_DIGEST + 1]; /* of the line before */
	void *blobs;			  /* tsearch(3) tree of struct said */
	bool failed; /* out of memory, or the store can't be read: fail() was called */
};

/* What the trail says last of a version's blob. */
struct said {
	char udid[UDID_MAX + 1];
	int version;
	char blob[2 * STORE_DIGEST + 1];
	bool purged; /* it says that it was destroyed */
	bool seen;   /* the store has that version */
};

static void found(struct walk *walk, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(struct walk *walk, const char *format, ...)
{
	char sentence[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	walk->out->findings++;
	walk->how->finding(walk->how->context, sentence);
}

static void show_progress(const struct walk *walk)
{
	if (walk->how->progress)
		walk->how->progress(walk->how->context, walk->out->lines + walk->out->versions);
}

/* ---- the trail ---- */

static int by_version(const void *left, const void *right)
{
	const struct said *a = left, *b = right;
	int order = strcasecmp(a->udid, b->udid);
	return order ? order : (a->version > b->version) - (a->version < b->version);
}

static bool remember(struct walk *walk, const struct json_line *line)
{
	struct said *said = calloc(1, sizeof *said);
	if (!said)
		return false;
	snprintf(said->udid, sizeof said->udid, "%s", line->udid);
	said->version = line->version;
	struct said **place = tsearch(said, &walk->blobs, by_version);
	if (!place) {
		free(said);
		return false;
	}
	if (*place != said)
		free(said);
	snprintf((*place)->blob, sizeof(*place)->blob, "%s", line->blob);
	(*place)->purged = strcmp(line->action, action_word(ACTION_PURGE)) == 0;
	return true;
}

/* Numbers first: they tell a missing, doubled or moved line apart from a changed one. */
static void check_number(struct walk *walk, int64_t row, const struct json_line *line)
{
	if (line->seq == walk->expected && row == line->seq)
		return;
	if (line->seq > walk->expected)
		found(walk, "trail: lines %lld to %lld are missing, before line %lld",
		      (long long)walk->expected, (long long)line->seq - 1, (long long)line->seq);
	else if (line->seq < walk->expected)
		found(walk,
		      "trail: line %lld stands again, or out of its place, where line %lld "
		      "should be",
		      (long long)line->seq, (long long)walk->expected);
	else
		found(walk, "trail: line %lld is kept under number %lld", (long long)line->seq,
		      (long long)row);
}

static void check_chain(struct walk *walk, int64_t seq, const char *text, size_t len,
			const char *chain)
{
	static const char key[] = ",\"chain\":";
	size_t at = len;
	while (at > 0 && (len - at < sizeof key - 1 || memcmp(text + at, key, sizeof key - 1) != 0))
		at--;
	uint8_t before[STORE_DIGEST], should[STORE_DIGEST];
	char hex[2 * STORE_DIGEST + 1];
	if (!hex_read(walk->chain, sizeof before, before))
		memset(before, 0, sizeof before);
	trail_chain(before, text, at, should);
	hex_write(should, sizeof should, hex);
	if (strcmp(hex, chain) != 0)
		found(walk,
		      "trail: line %lld was changed, or the line before it: its chain doesn't "
		      "fit",
		      (long long)seq);
}

static bool check_line(void *context, int64_t seq, const char *text, size_t len)
{
	struct walk *walk = context;
	struct json_line line;
	walk->out->lines++;
	show_progress(walk);
	if (json_event_read(text, len, &line)) {
		found(walk, "trail: line %lld can't be read: %s", (long long)seq, fail_why());
		walk->expected = seq + 1;
		return true;
	}
	check_number(walk, seq, &line);
	check_chain(walk, line.seq, text, len, line.chain);
	walk->expected = (line.seq > walk->expected ? line.seq : walk->expected) + 1;
	if (line.seq < walk->expected - 1)
		walk->expected--;
	snprintf(walk->chain, sizeof walk->chain, "%s", line.chain);
	if (*line.blob && line.version && !remember(walk, &line)) {
		walk->failed = true;
		fail(ERR_MEMORY, "out of memory");
	}
	return !walk->failed;
}

static enum error walk_trail(struct walk *walk, struct tx *tx)
{
	TRY(store_trail(tx, 1, check_line, walk));
	if (walk->failed)
		return ERR_MEMORY;
	struct trail_end end;
	TRY(store_trail_end(tx, &end));
	char hex[2 * STORE_DIGEST + 1];
	hex_write(end.chain, sizeof end.chain, hex);
	if (walk->out->lines && strcmp(hex, walk->chain) != 0)
		found(walk, "trail: it doesn't end in the chain that the store keeps of it");
	return OK;
}

/* ---- the seals ---- */

static void check_digest(struct walk *walk, const struct version *version, const char *udid,
			 const struct bytes *blob)
{
	uint8_t digest[STORE_DIGEST];
	char hex[2 * STORE_DIGEST + 1];
	seal_digest(blob->data, blob->len, digest);
	hex_write(digest, sizeof digest, hex);
	struct said wanted = {.version = version->number};
	snprintf(wanted.udid, sizeof wanted.udid, "%s", udid);
	struct said **place = tfind(&wanted, &walk->blobs, by_version);
	if (!place) {
		found(walk, "device %s, version %d: the trail knows nothing of it", udid,
		      version->number);
		return;
	}
	(*place)->seen = true;
	if ((*place)->purged)
		found(walk,
		      "device %s, version %d: the trail says that it was destroyed, and the store "
		      "has it",
		      udid, version->number);
	else if (strcmp((*place)->blob, hex) != 0)
		found(walk, "device %s, version %d: its blob isn't the one that the trail names",
		      udid, version->number);
}

struct seals {
	struct walk *walk;
	struct tx *tx;
};

static enum error check_version(struct seals *seals, struct version *version, const char *udid)
{
	struct walk *walk = seals->walk;
	SCOPED(bytes_free) struct bytes blob = {0};
	TRY(store_blob(seals->tx, version->id, &blob));
	walk->out->versions++;
	show_progress(walk);
	check_digest(walk, version, udid, &blob);
	if (!walk->escrow->key) {
		walk->out->unopened++;
		return OK;
	}
	struct device device = {0};
	snprintf(device.udid, sizeof device.udid, "%s", udid);
	SCOPED(secret_free) struct secret token = {0};
	enum error opened = token_open(walk->escrow, &device, version, &blob, &token);
	if (opened == ERR_NO_KEY)
		walk->out->unopened++;
	else if (opened)
		found(walk, "%s", fail_why());
	else
		walk->out->opened++;
	return OK;
}

struct page {
	struct version version[64];
	char udid[64][UDID_MAX + 1];
	int count;
};

static bool fill(void *context, const struct version *version, const char *udid)
{
	struct page *page = context;
	page->version[page->count] = *version;
	snprintf(page->udid[page->count], sizeof *page->udid, "%s", udid);
	return ++page->count < 64;
}

static void report_gone(const void *node, VISIT visit, void *context)
{
	const struct said *said = *(const struct said *const *)node;
	if ((visit == postorder || visit == leaf) && !said->seen && !said->purged)
		found(context,
		      "device %s, version %d: the trail names it, and the store has it no "
		      "more",
		      said->udid, said->version);
}

static enum error walk_seals(struct walk *walk, struct tx *tx)
{
	struct seals seals = {.walk = walk, .tx = tx};
	struct page page;
	for (int64_t after = 0;; after = page.version[page.count - 1].id) {
		page.count = 0;
		TRY(store_versions(tx, 0, after, fill, &page));
		if (!page.count)
			break;
		for (int i = 0; i < page.count; i++)
			TRY(check_version(&seals, &page.version[i], page.udid[i]));
	}
	twalk_r(walk->blobs, report_gone, walk);
	return OK;
}

static void walk_free(struct walk *walk)
{
	tdestroy(walk->blobs, free);
}

enum error escrow_verify(struct escrow *escrow, const struct escrow_verifying *how,
			 struct escrow_verified *out)
{
	*out = (struct escrow_verified){0};
	SCOPED(walk_free)
	struct walk walk = {.escrow = escrow, .how = how, .out = out, .expected = 1};
	memset(walk.chain, '0', 2 * STORE_DIGEST);

	enum error check = store_check(escrow->store);
	if (check == ERR_INVALID)
		found(&walk, "database: %s", fail_why());
	else
		TRY(check);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	TRY(walk_trail(&walk, tx));
	return walk_seals(&walk, tx);
}

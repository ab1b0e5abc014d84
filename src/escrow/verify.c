/*
 * Verify: does the trail hang together, and do the seals agree with it?
 *
 * The chain is walked from the first line: each line's chain must be the hash of the one before it
 * and of its own bytes, its number one more. A changed line breaks its own chain; a missing,
 * doubled or moved one shows in the numbers. The last line that names a version's blob is what the
 * stored blob must hash to: so an old blob put back by hand is found as well as a flipped bit. A
 * version that is gone is one only when the last line that names it says that it was purged.
 *
 * All of that holds of a trail that was cut short, too, and of one that was chained anew from some
 * line on. A checkpoint, which was kept elsewhere, tells: the line of its number must have its chain.
 *
 * The trail is read first, then the versions, one by one, and then the devices. What lines say of
 * these is kept by the store meanwhile, on disk: in memory there is a page of versions, or what there
 * is of one device, however many there are.
 *
 * MUST: what a seal holds is in secure memory, one at a time, and wiped when it was looked at.
 *       (test: verify_leaves_no_secret)
 */
#include "verify.h"

#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct walk {
	struct escrow *escrow;
	const struct escrow_verifying *how;
	struct escrow_verified *out;
	int64_t expected;
	uint64_t size;			  /* bytes of the lines so far */
	char chain[2 * STORE_DIGEST + 1]; /* of the line before */
	bool passed;			  /* the checkpoint's line was there */
	struct mentions *mentions;
	bool settings_unsaid; /* lines of an older program: see verify.h */
	bool born;	      /* the first line says to whom all is sealed */
	bool trail_lost;      /* it can't be read to its end: nothing is held against it */
	int64_t last_at;      /* when the line before was added */
	enum error failed;    /* what they couldn't be kept for */
	int damaged;	      /* how often something couldn't be read */
	char last[384];	      /* why, the last time */
};

static void found(struct walk *walk, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(struct walk *walk, const char *format, ...)
{
	char sentence[768];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	walk->out->findings++;
	walk->how->finding(walk->how->context, sentence);
}

/*
 * What can't be read is a finding, and the rest is looked at all the same; up to a number of times, as a
 * disk that fails does so everywhere.
 */
#define DAMAGED_MAX 100

static enum error go_on(struct walk *walk, enum error result)
{
	if (result != ERR_IO || walk->damaged == DAMAGED_MAX)
		return result;
	walk->damaged++;
	if (strcmp(walk->last, fail_why()) != 0)
		found(walk, "database: %s", fail_why());
	snprintf(walk->last, sizeof walk->last, "%s", fail_why());
	return OK;
}

static void show_progress(const struct walk *walk)
{
	if (walk->how->progress)
		walk->how->progress(walk->how->context, walk->out->lines + walk->out->versions);
}

/* ---- the trail ---- */

static enum error remember(struct walk *walk, const struct json_line *line, int64_t at)
{
	struct mention mention;
	for (const char *next = line->reason; told_recipient(line, &next, &mention);) {
		walk->born = walk->born || strcmp(line->action, action_word(ACTION_INIT)) == 0;
		TRY(store_mention_add(walk->mentions, &mention));
	}
	if (!told_read(line, at, &mention))
		return OK;
	if (mention.kind == TOLD_SETTING && !*mention.text)
		walk->settings_unsaid = true;
	return store_mention_add(walk->mentions, &mention);
}

/* A line tells its time in milliseconds. */
static void check_time(struct walk *walk, const struct json_line *line, int64_t at)
{
	char time[TEXT_TIME];
	time_text(at, time);
	if (strcmp(time, line->time) != 0)
		found(walk, "trail: line %lld is of %s, and is kept as one of %s",
		      (long long)line->seq, line->time, time);
	walk->last_at = at;
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

static enum error check_chain(struct walk *walk, int64_t seq, const char *text, size_t len,
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
	TRY(trail_chain(before, text, at, should));
	hex_write(should, sizeof should, hex);
	if (strcmp(hex, chain) != 0)
		found(walk,
		      "trail: line %lld was changed, or the line before it: its chain doesn't "
		      "fit",
		      (long long)seq);
	return OK;
}

static void check_since(struct walk *walk, const struct json_line *line)
{
	const struct escrow_checkpoint *since = walk->how->since;
	char hex[2 * STORE_DIGEST + 1];
	if (!since || line->seq != since->seq)
		return;
	walk->passed = true;
	hex_write(since->chain, sizeof since->chain, hex);
	if (strcmp(hex, line->chain) != 0)
		found(walk,
		      "trail: line %lld isn't the checkpoint's: it, or what is before it, was "
		      "written anew since",
		      (long long)line->seq);
}

/* After the last line. */
static void check_reached(struct walk *walk, const struct trail_end *end)
{
	static const uint8_t none[STORE_DIGEST];
	const struct escrow_checkpoint *since = walk->how->since;
	if (!since || walk->passed)
		return;
	if (since->seq)
		found(walk,
		      "trail: it ends at line %lld and has no line %lld, which was there at the "
		      "checkpoint: it was cut short, or an old copy of the store was put back",
		      (long long)end->seq, (long long)since->seq);
	else if (memcmp(since->chain, none, sizeof none) != 0)
		found(walk, "trail: no chain of an empty trail is the checkpoint's");
}

/* A line may call itself by the last number that there is. */
static int64_t next_of(int64_t seq)
{
	return seq < INT64_MAX ? seq + 1 : seq;
}

static bool check_line(void *context, int64_t seq, int64_t at, const char *text, size_t len)
{
	struct walk *walk = context;
	struct json_line line;
	walk->out->lines++;
	walk->size += len;
	show_progress(walk);
	if (json_event_read(text, len, &line)) {
		found(walk, "trail: line %lld can't be read: %s", (long long)seq, fail_why());
		walk->expected = next_of(seq);
		return true;
	}
	check_number(walk, seq, &line);
	walk->failed = check_chain(walk, line.seq, text, len, line.chain);
	if (walk->failed)
		return false;
	check_since(walk, &line);
	check_time(walk, &line, at);
	if (line.seq >= walk->expected)
		walk->expected = next_of(line.seq);
	snprintf(walk->chain, sizeof walk->chain, "%s", line.chain);
	walk->failed = remember(walk, &line, at);
	return !walk->failed;
}

static enum error walk_trail(struct walk *walk, struct tx *tx)
{
	TRY(store_trail(tx, 1, check_line, walk));
	TRY(walk->failed);
	struct trail_end end;
	TRY(store_trail_end(tx, &end));
	if (end.seq != walk->expected - 1)
		found(walk, "trail: its last line is %lld, and the store says that it is %lld",
		      (long long)walk->expected - 1, (long long)end.seq);
	if (end.size != walk->size)
		found(walk, "trail: it has %llu bytes, and the store says that it has %llu",
		      (unsigned long long)walk->size, (unsigned long long)end.size);
	char hex[2 * STORE_DIGEST + 1];
	hex_write(end.chain, sizeof end.chain, hex);
	if (walk->out->lines && strcmp(hex, walk->chain) != 0)
		found(walk, "trail: it doesn't end in the chain that the store keeps of it");
	if (end.at != walk->last_at && walk->out->lines)
		found(walk, "trail: its last line was added at another time than the store says");
	check_reached(walk, &end);
	return OK;
}

/* ---- the seals ---- */

static enum error check_digest(struct walk *walk, const struct version *version, const char *udid,
			       const struct bytes *blob)
{
	uint8_t digest[STORE_DIGEST];
	char hex[2 * STORE_DIGEST + 1];
	struct mention said;
	TRY(seal_digest(blob->data, blob->len, digest));
	hex_write(digest, sizeof digest, hex);
	if (walk->trail_lost) {
		if (!seal_equal(version->digest, digest, sizeof digest))
			found(walk, "device %s, version %d: its hash isn't its blob's", udid,
			      version->number);
		return OK;
	}
	enum error known = store_mention_find(walk->mentions, udid, version->number, &said);
	if (known == ERR_NOT_FOUND) {
		found(walk, "device %s, version %d: the trail knows nothing of it", udid,
		      version->number);
		return OK;
	}
	TRY(known);
	if (said.kind == TOLD_PURGED)
		found(walk,
		      "device %s, version %d: the trail says that it was destroyed, and the store "
		      "has it",
		      udid, version->number);
	else if (strcmp(said.text, hex) != 0)
		found(walk, "device %s, version %d: its blob isn't the one that the trail names",
		      udid, version->number);
	else if (!seal_equal(version->digest, digest, sizeof digest))
		found(walk, "device %s, version %d: its hash isn't its blob's", udid,
		      version->number);
	return OK;
}

struct seals {
	struct walk *walk;
	struct tx *tx;
};

static enum error check_version(struct seals *seals, struct version *version, const char *udid)
{
	struct walk *walk = seals->walk;
	SCOPED(bytes_free) struct bytes blob = {0};
	walk->out->versions++;
	show_progress(walk);
	enum error there = store_blob(seals->tx, version->id, &blob);
	if (there == ERR_NOT_FOUND) {
		found(walk, "device %s, version %d: its seal is gone", udid, version->number);
		return OK;
	}
	TRY(there);
	TRY(check_digest(walk, version, udid, &blob));
	if (blob.len != version->blob_size)
		found(walk, "device %s, version %d: its seal has %zu bytes, and not %u", udid,
		      version->number, blob.len, version->blob_size);
	if (!walk->escrow->key) {
		walk->out->unopened++;
		return OK;
	}
	struct device device = {0};
	snprintf(device.udid, sizeof device.udid, "%s", udid);
	SCOPED(secret_free) struct secret token = {0};
	struct version kept = *version;
	enum error opened = token_open(walk->escrow, &device, version, &blob, &token);
	if (opened == ERR_NO_KEY)
		walk->out->unopened++;
	else if (opened)
		found(walk, "%s", fail_why());
	else
		walk->out->opened++;
	if (!opened && kept.verified && kept.token_size != version->token_size)
		found(walk, "device %s, version %d: its token has %u bytes, and not %u", udid,
		      version->number, version->token_size, kept.token_size);
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

/* What a line names, and the store doesn't have. */
static void report_left(void *context, const struct mention *said)
{
	const struct verify *verify = context;
	switch ((enum told_kind)(said->kind & TOLD_KIND)) {
	case TOLD_SETTING:
		verify_setting_left(verify, said);
		break;
	case TOLD_ADDED:
		verify_found(verify,
			     "recipient with SHA-256 %s: line %lld of the trail added it, and "
			     "nothing is sealed to it: tokens don't open with its key",
			     said->text, (long long)said->line);
		break;
	case TOLD_RETIRED:
	case TOLD_PURGED:
	case TOLD_BOUND:
	case TOLD_STRANGER:
		break;
	default:
		verify_found(verify,
			     "device %s, version %lld: the trail names it, and the store has it no "
			     "more",
			     said->whose, (long long)said->number);
		break;
	}
}

/* Behind a row that can't be read there may be others. */
static enum error walk_seals(struct walk *walk, struct tx *tx)
{
	struct seals seals = {.walk = walk, .tx = tx};
	struct page page;
	for (int64_t after = 0; after < INT64_MAX;) {
		page.count = 0;
		enum error listed = store_versions(tx, 0, after, fill, &page);
		TRY(go_on(walk, listed));
		if (!page.count && !listed)
			return OK;
		for (int i = 0; i < page.count; i++)
			TRY(go_on(walk, check_version(&seals, &page.version[i], page.udid[i])));
		after = page.count ? page.version[page.count - 1].id : after;
		after += listed && after < INT64_MAX;
	}
	return OK;
}

/* ---- the rest ---- */

static void found_of_device(void *context, const char *sentence)
{
	found(context, "%s", sentence);
}

static enum error go_on_with_device(void *context, enum error result)
{
	return go_on(context, result);
}

static enum error walk_rest(struct walk *walk, struct tx *tx)
{
	struct verify verify = {.tx = tx,
				.mentions = walk->trail_lost ? NULL : walk->mentions,
				.born = walk->born,
				.settings_said = !walk->settings_unsaid,
				.found = found_of_device,
				.go_on = go_on_with_device,
				.context = walk};
	if (verify.mentions) {
		TRY(go_on(walk, verify_recipients(&verify)));
		TRY(go_on(walk, verify_settings(&verify)));
		TRY(store_mentions_left(walk->mentions, report_left, &verify));
	}
	return go_on(walk, verify_devices(&verify));
}

enum error escrow_verify(struct escrow *escrow, const struct escrow_verifying *how,
			 struct escrow_verified *out)
{
	*out = (struct escrow_verified){0};
	struct walk walk = {.escrow = escrow, .how = how, .out = out, .expected = 1};
	memset(walk.chain, '0', 2 * STORE_DIGEST);

	enum error check = store_check(escrow->store);
	if (check == ERR_INVALID)
		found(&walk, "database: %s", fail_why());
	else
		TRY(check);
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	TRY(store_mentions_new(escrow->store, &mentions));
	walk.mentions = mentions;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(escrow->store, &tx));
	enum error walked = walk_trail(&walk, tx);
	walk.trail_lost = walked == ERR_IO;
	TRY(go_on(&walk, walked));
	TRY(walk_seals(&walk, tx));
	return walk_rest(&walk, tx);
}

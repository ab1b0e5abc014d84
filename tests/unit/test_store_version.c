/* Versions and their seals, recipients, the trail, and how each statement finds its rows. */
#include "store_fixture.h"

#include "store/inside.h"

/* ---- versions ---- */

struct with_version {
	struct version version;
	const void *blob;
	size_t len;
};

static enum error version_add_apply(struct tx *tx, void *context)
{
	struct with_version *with = context;
	return store_version_add(tx, &with->version, with->blob, with->len);
}

static enum error version_save_apply(struct tx *tx, void *context)
{
	return store_version_save(tx, context);
}

static struct version add_version(struct store *store, int64_t device, uint8_t mac)
{
	char blob[32];
	struct with_version with = {
		.version = {.device = device, .escrowed_at = 5, .token_size = 3}, .blob = blob};
	with.len = (size_t)snprintf(blob, sizeof blob, "blob %d", mac);
	memset(with.version.mac, mac, sizeof with.version.mac);
	assert_int_equal(store_change(store, version_add_apply, &with), OK);
	return with.version;
}

static void end_version(struct store *store, struct version *version, enum version_end why)
{
	version->ended_at = 50;
	version->end = why;
	assert_int_equal(store_change(store, version_save_apply, version), OK);
}

static void assert_same_version(const struct version *a, const struct version *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->device, b->device);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->escrowed_at, b->escrowed_at);
	assert_int_equal(a->confirmed_at, b->confirmed_at);
	assert_int_equal(a->sealed_at, b->sealed_at);
	assert_int_equal(a->ended_at, b->ended_at);
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->renewal, b->renewal);
	assert_int_equal(a->token_size, b->token_size);
	assert_int_equal(a->blob_size, b->blob_size);
	assert_memory_equal(a->mac, b->mac, sizeof a->mac);
	assert_memory_equal(a->digest, b->digest, sizeof a->digest);
	assert_int_equal(a->verified, b->verified);
	assert_int_equal(a->generation, b->generation);
}

static void version_round_trip(void **state)
{
	struct fixture *f = *state;
	int64_t device = add_device(f->store, "A").id;
	struct with_version with = {.blob = "sealed\0bytes", .len = 12};
	struct version seen;
	with.version.device = device;
	with.version.escrowed_at = 1;
	with.version.confirmed_at = 2;
	with.version.sealed_at = 3;
	with.version.renewal = RENEWAL_SET_UP;
	with.version.token_size = 4;
	with.version.verified = true;
	with.version.generation = 7;
	memset(with.version.mac, 5, STORE_DIGEST);
	memset(with.version.digest, 6, STORE_DIGEST);
	assert_int_equal(store_change(f->store, version_add_apply, &with), OK);
	assert_int_equal(with.version.number, 1);
	assert_int_equal(with.version.blob_size, 12);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	SCOPED(bytes_free) struct bytes blob = {0};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_version(tx, with.version.id, &seen), OK);
	assert_same_version(&seen, &with.version);
	assert_int_equal(store_version_current(tx, device, &seen), OK);
	assert_int_equal(seen.id, with.version.id);
	assert_int_equal(store_version_numbered(tx, device, 1, &seen), OK);
	assert_int_equal(store_version_numbered(tx, device, 2, &seen), ERR_NOT_FOUND);
	assert_int_equal(store_version(tx, 99, &seen), ERR_NOT_FOUND);
	assert_same_version(&seen, &with.version);
	assert_int_equal(store_blob(tx, with.version.id, &blob), OK);
	assert_int_equal(blob.len, 12);
	assert_memory_equal(blob.data, "sealed\0bytes", 12);
	assert_int_equal(store_blob(tx, 99, &blob), ERR_NOT_FOUND);
}

static void one_current(void **state)
{
	struct fixture *f = *state;
	int64_t device = add_device(f->store, "A").id;
	struct version one = add_version(f->store, device, 1);
	struct with_version second = {.version = {.device = device}, .blob = "x", .len = 1};
	assert_int_equal(store_change(f->store, version_add_apply, &second), ERR_EXISTS);
	end_version(f->store, &one, END_REPLACED);
	assert_int_equal(store_change(f->store, version_add_apply, &second), OK);
	assert_int_equal(second.version.number, 2);
	/* The first can't come back beside it. */
	one.ended_at = 0;
	one.end = END_NONE;
	assert_int_equal(store_change(f->store, version_save_apply, &one), ERR_EXISTS);
	end_version(f->store, &second.version, END_UNDONE);
	assert_int_equal(store_change(f->store, version_save_apply, &one), OK);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct version seen;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_version_current(tx, device, &seen), OK);
	assert_int_equal(seen.number, 1);
	assert_int_equal(store_version_numbered(tx, device, 2, &seen), OK);
	assert_int_equal(seen.end, END_UNDONE);
	assert_int_equal(seen.ended_at, 50);
}

static void saving_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct version version = {.id = 77, .device = 256, .number = 1, .ended_at = 1};
	assert_int_equal(store_change(f->store, version_save_apply, &version), ERR_NOT_FOUND);
	struct with_version with = {.version = {.device = 4711}, .blob = "x", .len = 1};
	assert_int_equal(store_change(f->store, version_add_apply, &with), ERR_GONE);
}

static void newest_with_a_mac(void **state)
{
	struct fixture *f = *state;
	int64_t device = add_device(f->store, "A").id, other = add_device(f->store, "B").id;
	uint8_t mac[STORE_DIGEST];
	for (uint8_t i = 0; i < 4; i++) {
		struct version version = add_version(f->store, device, i % 2);
		end_version(f->store, &version, END_REPLACED);
	}
	add_version(f->store, other, 9);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct version seen;
	assert_int_equal(store_view(f->store, &tx), OK);
	memset(mac, 1, sizeof mac);
	assert_int_equal(store_version_with_mac(tx, device, mac, &seen), OK);
	assert_int_equal(seen.number, 4);
	memset(mac, 0, sizeof mac);
	assert_int_equal(store_version_with_mac(tx, device, mac, &seen), OK);
	assert_int_equal(seen.number, 3);
	memset(mac, 9, sizeof mac);
	assert_int_equal(store_version_with_mac(tx, device, mac, &seen), ERR_NOT_FOUND);
}

struct versions {
	int count, stop_at, number[16];
	int64_t id[16];
	char udid[16][UDID_MAX + 1];
};

static bool note_version(void *context, const struct version *version, const char *udid)
{
	struct versions *versions = context;
	int i = versions->count++;
	versions->number[i] = version->number;
	versions->id[i] = version->id;
	snprintf(versions->udid[i], sizeof versions->udid[i], "%s", udid);
	return versions->count != versions->stop_at;
}

static bool note_past(void *context, const struct version *version, const char *udid, bool removed)
{
	assert_true(removed);
	return note_version(context, version, udid);
}

/* Taken away and made anew, in another case of letters: numbers go on, and the old ones stay. */
static void numbers_go_on_after_removal(void **state)
{
	struct fixture *f = *state;
	int64_t last = 0;
	for (int round = 0; round < 3; round++) {
		struct device device = add_device(f->store, round % 2 ? "abc" : "ABC");
		for (uint8_t i = 0; i < 2; i++) {
			struct version version = add_version(f->store, device.id, i);
			assert_int_equal(version.number, round * 2 + i + 1);
			assert_true(version.id > last);
			last = version.id;
			end_version(f->store, &version, i ? END_REMOVED : END_REPLACED);
		}
		remove_device(f->store, device.id);
	}
	struct device device = add_device(f->store, "abc");
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct versions all = {0}, own = {0}, page = {.stop_at = 4};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_versions(tx, device.id, 0, note_version, &own), OK);
	assert_int_equal(own.count, 0);
	assert_int_equal(store_versions(tx, 0, 0, note_version, &all), OK);
	assert_int_equal(all.count, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(all.number[i], i + 1);
	assert_string_equal(all.udid[1], "ABC");
	assert_string_equal(all.udid[2], "abc");
	/* By name, in any case of letters, with those that were taken away. */
	struct versions named = {0};
	assert_int_equal(store_versions_named(tx, "aBc", note_past, &named), OK);
	assert_int_equal(named.count, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(named.number[i], i + 1);
	struct device first;
	assert_int_equal(store_removed_named(tx, "aBc", &first), OK);
	assert_string_equal(first.udid, "ABC");
	assert_true(first.id < device.id && first.removed_at);
	assert_int_equal(store_removed_named(tx, "abcd", &first), ERR_NOT_FOUND);
	assert_int_equal(store_removed(tx, device.id, &first), ERR_GONE);
	/* By pages. */
	assert_int_equal(store_versions(tx, 0, 0, note_version, &page), OK);
	assert_int_equal(page.count, 4);
	page.stop_at = 0;
	assert_int_equal(store_versions(tx, 0, page.id[3], note_version, &page), OK);
	assert_int_equal(page.count, 6);
	assert_int_equal(page.number[5], 6);
}

/* ---- numbers that are given, other seals, none ---- */

static void a_number_is_kept(void **state)
{
	struct fixture *f = *state;
	int64_t device = add_device(f->store, "A").id;
	struct with_version with = {.blob = "seven", .len = 5};
	with.version = (struct version){.device = device, .number = 7, .ended_at = 9};
	assert_int_equal(store_change(f->store, version_add_apply, &with), OK);
	assert_int_equal(with.version.number, 7);
	assert_int_equal(store_change(f->store, version_add_apply, &with), ERR_EXISTS);
	with.version.number = 3;
	assert_int_equal(store_change(f->store, version_add_apply, &with), OK);
	assert_int_equal(add_version(f->store, device, 1).number, 8);
}

static enum error reseal_apply(struct tx *tx, void *context)
{
	struct with_version *with = context;
	return store_version_reseal(tx, &with->version, with->blob, with->len);
}

static void sealed_anew(void **state)
{
	struct fixture *f = *state;
	struct with_version with = {.blob = "another seal", .len = 12};
	with.version = add_version(f->store, add_device(f->store, "A").id, 1);
	with.version.sealed_at = 77;
	with.version.token_size = 5;
	with.version.generation = 2;
	with.version.verified = true;
	memset(with.version.digest, 9, STORE_DIGEST);
	assert_int_equal(store_change(f->store, reseal_apply, &with), OK);
	struct version seen;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	SCOPED(bytes_free) struct bytes blob = {0};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_version(tx, with.version.id, &seen), OK);
	assert_same_version(&seen, &with.version);
	assert_int_equal(seen.blob_size, 12);
	assert_int_equal(store_blob(tx, seen.id, &blob), OK);
	assert_memory_equal(blob.data, "another seal", 12);
}

static enum error destroy_apply(struct tx *tx, void *id)
{
	return store_version_destroy(tx, *(int64_t *)id);
}

static void destroyed_for_good(void **state)
{
	struct fixture *f = *state;
	int64_t device = add_device(f->store, "A").id;
	struct version one = add_version(f->store, device, 1);
	assert_int_equal(store_change(f->store, destroy_apply, &one.id), OK);
	assert_int_equal(store_change(f->store, destroy_apply, &one.id), ERR_NOT_FOUND);
	struct version seen;
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		SCOPED(bytes_free) struct bytes blob = {0};
		assert_int_equal(store_view(f->store, &tx), OK);
		assert_int_equal(store_version(tx, one.id, &seen), ERR_NOT_FOUND);
		assert_int_equal(store_blob(tx, one.id, &blob), ERR_NOT_FOUND);
	}
	struct version two = add_version(f->store, device, 2);
	assert_int_equal(two.number, 2);
	assert_true(two.id > one.id);
}

/* ---- compacting ---- */

static bool give_up(void *context, bool reader)
{
	*(int *)context += reader;
	return !reader;
}

static bool holds(const struct fixture *f, const char *text)
{
	char command[800];
	snprintf(command, sizeof command, "grep -qa '%s' '%s'/*", text, f->path);
	return system(command) == 0;
}

static void compacted_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct version one = add_version(f->store, add_device(f->store, "A").id, 93);
	struct store *snapshot;
	int waits = 0;
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &snapshot), OK);
	assert_int_equal(store_change(f->store, destroy_apply, &one.id), OK);
	assert_true(holds(f, "blob 93"));

	assert_int_equal(store_compact(f->store, give_up, &waits), ERR_BUSY);
	assert_int_equal(waits, 1);
	assert_says("sealed mount");
	store_close(snapshot);
	assert_int_equal(store_compact(f->store, give_up, &waits), OK);
	assert_int_equal(waits, 1);
	assert_false(holds(f, "blob 93"));
	assert_int_equal(add_version(f->store, 256, 94).number, 2);
}

/* Somebody reads for a moment: nobody is told that a sealed mount does. */
struct passing {
	struct store *snapshot;
	bool reader;
};

static bool leaves(void *context, bool reader)
{
	struct passing *passing = context;
	passing->reader = passing->reader || reader;
	store_close(passing->snapshot);
	passing->snapshot = NULL;
	return true;
}

static void compacted_behind_a_passing_reader(void **state)
{
	struct fixture *f = *state;
	struct passing passing = {0};
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &passing.snapshot), OK);
	add_device(f->store, "A");
	assert_int_equal(store_compact(f->store, leaves, &passing), OK);
	assert_null(passing.snapshot);
	assert_false(passing.reader);
}

static enum error unclean_apply(struct tx *tx, void *context)
{
	(void)context;
	return store_set_unclean(tx, true);
}

static int64_t unclean(struct store *store)
{
	struct store_state now;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(store, &tx), OK);
	assert_int_equal(store_state(tx, &now), OK);
	return now.unclean;
}

struct meanwhile {
	struct store *store, *snapshot;
};

/* Another process takes out a seal when the files are written already. */
static bool takes_out(void *context, bool reader)
{
	(void)reader;
	struct meanwhile *meanwhile = context;
	assert_int_equal(store_change(meanwhile->store, unclean_apply, NULL), OK);
	store_close(meanwhile->snapshot);
	meanwhile->snapshot = NULL;
	return true;
}

/* VACUUM moves it on. */
static int written_anew(const struct fixture *f)
{
	char command[800];
	snprintf(command, sizeof command, "sqlite3 '%s/escrow.db' 'PRAGMA schema_version'",
		 f->path);
	FILE *out = popen(command, "r");
	int number = -1;
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%d", &number), 1);
	assert_int_equal(pclose(out), 0);
	return number;
}

static void compacted_again_for_what_came_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct meanwhile meanwhile = {.store = f->store};
	int before = written_anew(f);
	assert_int_equal(store_open(f->path, STORE_SNAPSHOT, NULL, &meanwhile.snapshot), OK);
	assert_int_equal(store_change(f->store, unclean_apply, NULL), OK);
	assert_int_equal(store_compact(f->store, takes_out, &meanwhile), OK);
	assert_null(meanwhile.snapshot);
	assert_int_equal(unclean(f->store), 0);
	assert_int_equal(written_anew(f), before + 2);
}

static atomic_bool enough;

static void *takes_out_for_ever(void *store)
{
	while (!atomic_load(&enough))
		if (store_change(store, unclean_apply, NULL))
			break;
	return NULL;
}

static void compacted_again_a_few_times(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct passing nobody = {0};
	assert_int_equal(pthread_create(&thread, NULL, takes_out_for_ever, f->store), 0);
	while (!unclean(f->store))
		;
	enum error result = store_compact(f->store, leaves, &nobody);
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	assert_int_equal(result, ERR_CHANGED);
	assert_true(unclean(f->store) > 1);
	assert_int_equal(store_compact(f->store, leaves, &nobody), OK);
	assert_int_equal(unclean(f->store), 0);
}

/* ---- recipients ---- */

static enum error recipients_apply(struct tx *tx, void *context)
{
	(void)context;
	struct recipient daily = {.name = "daily", .added_at = 1};
	struct recipient recovery = {.name = "recovery", .added_at = 2};
	TRY(store_recipient_add(tx, &daily, (const uint8_t *)"\0one", 4));
	return store_recipient_add(tx, &recovery, (const uint8_t *)"\0two", 4);
}

static enum error second_apply(struct tx *tx, void *context)
{
	(void)context;
	struct recipient again = {.name = "again"};
	return store_recipient_add(tx, &again, (const uint8_t *)"\0two", 4);
}

static enum error note_recipient(void *context, const struct recipient *recipient,
				 const uint8_t *der, size_t len)
{
	char *text = context;
	if (strcmp(recipient->name, "stop") == 0)
		return ERR_BAD_SEAL;
	sprintf(text + strlen(text), "%s %lld %zu %s;", recipient->name,
		(long long)recipient->added_at, len, (const char *)der + 1);
	return OK;
}

static enum error stop(void *context, const struct recipient *recipient, const uint8_t *der,
		       size_t len)
{
	(void)recipient;
	(void)der;
	(void)len;
	++*(int *)context;
	return fail(ERR_BAD_SEAL, "stop");
}

static enum error retire_apply(struct tx *tx, void *unused)
{
	(void)unused;
	return store_recipient_retire(tx, (const uint8_t *)"\0two", 4, 9);
}

static int64_t generation_of(struct store *store)
{
	struct store_state now;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(store, &tx), OK);
	assert_int_equal(store_state(tx, &now), OK);
	return now.generation;
}

static void recipients_retire_and_come_back(void **state)
{
	struct fixture *f = *state;
	char text[256] = "";
	assert_int_equal(generation_of(f->store), 0);
	assert_int_equal(store_change(f->store, recipients_apply, NULL), OK);
	assert_int_equal(generation_of(f->store), 2);
	assert_int_equal(store_change(f->store, retire_apply, NULL), OK);
	assert_int_equal(store_change(f->store, retire_apply, NULL), ERR_NOT_FOUND);
	assert_int_equal(generation_of(f->store), 3);
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		assert_int_equal(store_view(f->store, &tx), OK);
		assert_int_equal(store_recipients(tx, note_recipient, text), OK);
	}
	assert_string_equal(text, "daily 1 4 one;");
	assert_int_equal(store_change(f->store, second_apply, NULL), OK);
	assert_int_equal(store_change(f->store, second_apply, NULL), ERR_EXISTS);
	assert_int_equal(generation_of(f->store), 4);
}

static void recipients_in_order(void **state)
{
	struct fixture *f = *state;
	char text[256] = "";
	int calls = 0;
	assert_int_equal(store_change(f->store, recipients_apply, NULL), OK);
	assert_int_equal(store_change(f->store, second_apply, NULL), ERR_EXISTS);
	assert_says("recovery");
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_recipients(tx, note_recipient, text), OK);
	assert_string_equal(text, "daily 1 4 one;recovery 2 4 two;");
	assert_int_equal(store_recipients(tx, stop, &calls), ERR_BAD_SEAL);
	assert_int_equal(calls, 1);
}

/* ---- the trail ---- */

static enum error lines_apply(struct tx *tx, void *context)
{
	for (int i = 0; i < *(int *)context; i++)
		TRY(add_line(tx));
	return OK;
}

static bool gather(void *context, int64_t seq, int64_t at, const char *line, size_t len)
{
	(void)seq;
	(void)at;
	return bytes_add(context, line, len) == OK;
}

static void trail_end_follows(void **state)
{
	struct fixture *f = *state;
	struct trail_end end;
	{
		SCOPED(store_view_scoped) struct tx *tx = NULL;
		assert_int_equal(store_view(f->store, &tx), OK);
		assert_int_equal(store_trail_end(tx, &end), OK);
		assert_int_equal(end.seq, 0);
		assert_int_equal(end.size, 0);
		assert_int_equal(end.at, 0);
		for (int i = 0; i < STORE_DIGEST; i++)
			assert_int_equal(end.chain[i], 0);
	}
	int n = 3;
	assert_int_equal(store_change(f->store, lines_apply, &n), OK);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_end(tx, &end), OK);
	assert_int_equal(end.seq, 3);
	assert_int_equal(end.size, 3 * strlen("line 1 of the trail\n"));
	assert_int_equal(end.at, 1002);
	assert_int_equal(end.chain[31], 3);
}

static enum error wrong_line_apply(struct tx *tx, void *context)
{
	uint8_t chain[STORE_DIGEST] = {0};
	return store_trail_add(tx, *(int64_t *)context, 1, "x\n", 2, chain);
}

static void lines_come_in_order(void **state)
{
	struct fixture *f = *state;
	int n = 3;
	assert_int_equal(store_change(f->store, lines_apply, &n), OK);
	for (int64_t seq = 0; seq < 7; seq++)
		if (seq != 4)
			assert_int_equal(store_change(f->store, wrong_line_apply, &seq),
					 ERR_INVALID);
	assert_int_equal(trail_lines(f->store), 3);
}

/* At every offset, in pieces of many sizes: what is read are the lines, one after the other. */
static void reads_by_offset(void **state)
{
	struct fixture *f = *state;
	int lines = 120;
	assert_int_equal(store_change(f->store, lines_apply, &lines), OK);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	SCOPED(bytes_free) struct bytes all = {0};
	char buffer[4096];
	size_t n, sizes[] = {1, 7, 19, 20, 21, 22, 500, sizeof buffer};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail(tx, 1, gather, &all), OK);
	assert_true(all.len > 2000);
	for (size_t s = 0; s < COUNT(sizes); s++)
		for (size_t offset = 0; offset <= all.len + 2; offset++) {
			size_t left = offset > all.len ? 0 : all.len - offset;
			assert_int_equal(store_trail_read(tx, offset, buffer, sizes[s], &n), OK);
			assert_int_equal(n, left < sizes[s] ? left : sizes[s]);
			if (n)
				assert_memory_equal(buffer, all.data + offset, n);
		}
	assert_int_equal(store_trail_read(tx, UINT64_MAX, buffer, 10, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(store_trail_read(tx, 0, buffer, 0, &n), OK);
	assert_int_equal(n, 0);
	SCOPED(bytes_free) struct bytes tail = {0};
	assert_int_equal(store_trail(tx, lines, gather, &tail), OK);
	assert_string_equal((char *)tail.data, "line 120 of the trail\n");
}

/* Any bytes: a trail that somebody filled with something else is served as it is. */
static enum error odd_line_apply(struct tx *tx, void *context)
{
	(void)context;
	uint8_t chain[STORE_DIGEST] = {0};
	return store_trail_add(tx, 1, 1, "a\0b\xff\xfe\n", 6, chain);
}

static void exact_bytes(void **state)
{
	struct fixture *f = *state;
	char buffer[16];
	size_t n;
	assert_int_equal(store_change(f->store, odd_line_apply, NULL), OK);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_read(tx, 0, buffer, sizeof buffer, &n), OK);
	assert_int_equal(n, 6);
	assert_memory_equal(buffer, "a\0b\xff\xfe\n", 6);
}

static void a_hole_is_an_error(void **state)
{
	struct fixture *f = *state;
	int lines = 10;
	char buffer[4096];
	size_t n;
	assert_int_equal(store_change(f->store, lines_apply, &lines), OK);
	fixture_run("sqlite3 '@/escrow.db' 'DELETE FROM trail WHERE seq = 4'", f->path);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_read(tx, 0, buffer, 60, &n), OK);
	assert_int_equal(n, 60);
	assert_int_equal(store_trail_read(tx, 0, buffer, 61, &n), ERR_IO);
	assert_says("verify");
	assert_int_equal(store_trail_read(tx, 80, buffer, 40, &n), OK);
	assert_int_equal(n, 40);
}

static void lines_that_overlap_are_an_error(void **state)
{
	struct fixture *f = *state;
	int lines = 10;
	char buffer[4096];
	size_t n;
	assert_int_equal(store_change(f->store, lines_apply, &lines), OK);
	fixture_run("sqlite3 '@/escrow.db' \"UPDATE trail SET line = 'longer ' || line WHERE seq = "
		    "4\"",
		    f->path);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_trail_read(tx, 0, buffer, sizeof buffer, &n), ERR_IO);
	assert_says("fit");
}

/* ---- how statements find their rows ---- */

static bool goes_through_all(enum statement which)
{
	return which == SQL_CHECK || which == SQL_CHECK_REFERENCES || which == SQL_CHECK_TALLY ||
	       which == SQL_CHECK_SEQUENCE || which == SQL_CHECK_PINNED ||
	       which == SQL_CHECK_STARTS || which == SQL_CHECK_NAMES || which == SQL_CHECK_CHANGE ||
	       which == SQL_CHECK_GENERATION || which == SQL_ACCESSES || which == SQL_RECIPIENTS ||
	       which == SQL_STRANGERS || which == SQL_DEVICE_COUNTS || which == SQL_MENTIONS_LEFT ||
	       which == SQL_CENSUS;
}

/* What goes through a table from a row on lists all that the table has. */
static bool lists_all(enum statement which)
{
	return which == SQL_DEVICES || which == SQL_GLANCES || which == SQL_VERSIONS ||
	       which == SQL_TRAIL;
}

/*
 * No statement but those reads a whole table or index, or sorts in a heap of its own more than a
 * name's bearers.
 */
static void no_scans(void **state)
{
	struct fixture *f = *state;
	struct tx *tx;
	assert_int_equal(connection_new(f->store, CONNECT_WRITE, &tx), OK);
	assert_int_equal(sql_run_text(tx, mentions_schema), OK);
	assert_int_equal(sql_run_text(tx, mentions_order), OK);
	for (int i = 0; i < SQL_COUNT; i++) {
		char text[2048];
		sqlite3_stmt *statement;
		assert_non_null(sql_statements[i]);
		if (goes_through_all((enum statement)i))
			continue;
		snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql_statements[i]);
		assert_int_equal(sqlite3_prepare_v2(tx->db, text, -1, &statement, NULL), SQLITE_OK);
		while (sqlite3_step(statement) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(statement, 3);
			bool scans =
				strncmp(detail, "SCAN", 4) == 0 && !strstr(detail, "CONSTANT ROW");
			bool walks = strstr(detail, "(rowid>?)") && !lists_all((enum statement)i);
			bool sorts = strstr(detail, "TEMP B-TREE") && i != SQL_NAME &&
				     i != SQL_NAMES && i != SQL_MENTIONS_OF;
			if (scans || walks || sorts)
				print_error("%s\n  %s\n", text, detail);
			assert_false(scans || walks || sorts);
		}
		sqlite3_finalize(statement);
	}
	connection_free(tx);
}

struct reserving {
	int64_t device;
	int number;
};

static enum error reserve_apply(struct tx *tx, void *context)
{
	const struct reserving *reserving = context;
	return store_version_reserve(tx, reserving->device, reserving->number);
}

/* A number names one version of a UDID, whichever of the devices of that name has it. */
static void numbers_are_the_names(void **state)
{
	struct fixture *f = *state;
	struct device old = add_device(f->store, "A");
	struct version version = add_version(f->store, old.id, 1);
	end_version(f->store, &version, END_REMOVED);
	remove_device(f->store, old.id);
	struct device new = add_device(f->store, "a");
	struct reserving reserving = {old.id, 7};
	assert_int_equal(store_change(f->store, reserve_apply, &reserving), OK);
	version = add_version(f->store, new.id, 2);
	assert_int_equal(version.number, 8);
	end_version(f->store, &version, END_REPLACED);
	assert_int_equal(add_version(f->store, old.id, 3).number, 9);
	assert_int_equal(add_version(f->store, new.id, 4).number, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(version_round_trip),
		WITH_STORE(a_number_is_kept),
		WITH_STORE(sealed_anew),
		WITH_STORE(destroyed_for_good),
		WITH_STORE(compacted_leaves_nothing),
		WITH_STORE(compacted_again_for_what_came_meanwhile),
		WITH_STORE(compacted_behind_a_passing_reader),
		WITH_STORE(compacted_again_a_few_times),
		WITH_STORE(one_current),
		WITH_STORE(saving_what_is_not_there),
		WITH_STORE(newest_with_a_mac),
		WITH_STORE(numbers_go_on_after_removal),
		WITH_STORE(numbers_are_the_names),
		WITH_STORE(recipients_in_order),
		WITH_STORE(recipients_retire_and_come_back),
		WITH_STORE(trail_end_follows),
		WITH_STORE(lines_come_in_order),
		WITH_STORE(reads_by_offset),
		WITH_STORE(exact_bytes),
		WITH_STORE(a_hole_is_an_error),
		WITH_STORE(lines_that_overlap_are_an_error),
		WITH_STORE(no_scans),
	};
	return cmocka_run_group_tests_name("store: versions and the trail", tests, NULL, NULL);
}

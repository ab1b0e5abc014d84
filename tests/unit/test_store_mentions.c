/* Mentions: what lines of the trail say of things, kept on disk and asked thing by thing. */
#include "store_fixture.h"

#include "secret.h"

#include <dirent.h>
#include <sys/resource.h>

static void mention(struct mentions *mentions, const char *whose, int64_t number, const char *text,
		    int kind)
{
	struct mention mention = {.number = number, .kind = kind, .line = 7, .at = 1000 + kind};
	snprintf(mention.whose, sizeof mention.whose, "%s", whose);
	snprintf(mention.text, sizeof mention.text, "%s", text);
	assert_int_equal(store_mention_add(mentions, &mention), OK);
}

static void assert_last(struct mentions *mentions, const char *whose, int64_t number,
			const char *text, int kind)
{
	struct mention found;
	assert_int_equal(store_mention_find(mentions, whose, number, &found), OK);
	assert_string_equal(found.text, text);
	assert_int_equal(found.number, number);
	assert_int_equal(found.kind, kind);
	assert_int_equal(found.line, 7);
	assert_int_equal(found.at, 1000 + kind);
}

/* A name is one in any case of letters, numbers are told apart, and what has no text doesn't count. */
static void the_last_counts(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	struct mention found;
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	mention(mentions, "DEVICE", 1, "one", 0);
	mention(mentions, "OTHER", 1, "other", 0);
	mention(mentions, "DEVICE", 2, "two", 0);
	mention(mentions, "device", 1, "one, sealed anew", 3);
	mention(mentions, "DEVICE", 2, "two", 4);
	mention(mentions, "DEVICE", 1, "", 5);
	mention(mentions, "DEVICE", 4, "", 5);
	mention(mentions, "inodes", INT64_MAX, "0640 0:0", 6);
	assert_last(mentions, "Device", 1, "one, sealed anew", 3);
	assert_last(mentions, "DEVICE", 2, "two", 4);
	assert_last(mentions, "OTHER", 1, "other", 0);
	assert_last(mentions, "inodes", INT64_MAX, "0640 0:0", 6);
	assert_int_equal(store_mention_find(mentions, "DEVICE", 3, &found), ERR_NOT_FOUND);
	assert_int_equal(store_mention_find(mentions, "DEVICE", 4, &found), ERR_NOT_FOUND);
	assert_int_equal(store_mention_find(mentions, "DEVICES", 1, &found), ERR_NOT_FOUND);
}

static void gather(void *context, const struct mention *mention)
{
	char *all = context;
	snprintf(all + strlen(all), 200 - strlen(all), "%s %d %s %d; ", mention->whose,
		 (int)mention->number, mention->text, mention->kind);
}

static enum error gather_told(void *context, const struct mention *mention)
{
	gather(context, mention);
	return mention->kind == 9 ? ERR_BUSY : OK;
}

static void all_of_one_in_order(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	char all[200] = "";
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	mention(mentions, "B", 2, "b2", 1);
	mention(mentions, "A", 1, "a1", 1);
	mention(mentions, "b", 1, "b1", 2);
	mention(mentions, "B", 2, "", 3);
	mention(mentions, "B", 0, "", 4);
	assert_int_equal(store_mentions_of(mentions, "b", gather_told, all), OK);
	assert_string_equal(all, "B 2 b2 1; b 1 b1 2; B 2  3; B 0  4; ");
	*all = 0;
	assert_int_equal(store_mentions_of(mentions, "C", gather_told, all), OK);
	assert_string_equal(all, "");
}

static void an_error_stops(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	char all[200] = "";
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	mention(mentions, "A", 1, "a1", 9);
	mention(mentions, "A", 2, "a2", 1);
	assert_int_equal(store_mentions_of(mentions, "A", gather_told, all), ERR_BUSY);
	assert_string_equal(all, "A 1 a1 9; ");
}

static void what_nobody_found_is_left(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	char left[200] = "";
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	mention(mentions, "B", 1, "b1", 0);
	mention(mentions, "A", 1, "a1", 0);
	mention(mentions, "A", 2, "a2", 0);
	mention(mentions, "C", 1, "c1", 0);
	mention(mentions, "C", 1, "", 5);
	mention(mentions, "b", 1, "b1 again", 0);
	mention(mentions, "A", 2, "a2", 4);
	mention(mentions, "D", 1, "", 5);
	assert_last(mentions, "A", 1, "a1", 0);
	assert_int_equal(store_mentions_left(mentions, gather, left), OK);
	assert_string_equal(left, "C 1 c1 0; b 1 b1 again 0; A 2 a2 4; ");
	assert_last(mentions, "B", 1, "b1 again", 0);
	*left = 0;
	assert_int_equal(store_mentions_left(mentions, gather, left), OK);
	assert_string_equal(left, "C 1 c1 0; A 2 a2 4; ");
}

static void none_at_all(void **state)
{
	struct fixture *f = *state;
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	char left[200] = "";
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	assert_int_equal(store_mentions_left(mentions, gather, left), OK);
	assert_int_equal(store_mentions_of(mentions, "A", gather_told, left), OK);
	assert_string_equal(left, "");
}

static int files_in(const char *path)
{
	int count = 0;
	DIR *directory = opendir(path);
	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static long peak_kib(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* They lie on disk: 200,000 take no more memory than a page of them, and no name in the directory. */
static void many_take_no_memory(void **state)
{
	struct fixture *f = *state;
	/* What a sanitizer keeps for itself isn't ours to bound. */
	int count = secret_wipes_frees() ? 200000 : 1000;
	int files = files_in(f->path);
	long before = peak_kib();
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	char udid[UDID_MAX + 1], blob[2 * STORE_DIGEST + 1];
	for (int i = 0; i < count; i++) {
		snprintf(udid, sizeof udid, "%08X-0000-0000-0000-000000000000",
			 (unsigned)i * 2654435761U);
		snprintf(blob, sizeof blob, "%064d", i);
		mention(mentions, udid, 1, blob, 0);
	}
	for (int i = 0; i < count; i += 2) {
		snprintf(udid, sizeof udid, "%08X-0000-0000-0000-000000000000",
			 (unsigned)i * 2654435761U);
		snprintf(blob, sizeof blob, "%064d", i);
		assert_last(mentions, udid, 1, blob, 0);
	}
	assert_int_equal(files_in(f->path), files);
	if (secret_wipes_frees())
		assert_in_range(peak_kib() - before, 0, 12 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(the_last_counts), WITH_STORE(all_of_one_in_order),
		WITH_STORE(an_error_stops),  WITH_STORE(what_nobody_found_is_left),
		WITH_STORE(none_at_all),     WITH_STORE(many_take_no_memory),
	};
	return cmocka_run_group_tests_name("store: mentions", tests, NULL, NULL);
}

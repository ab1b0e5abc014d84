/* Devices and what goes with them: listings, changes, facts, names, access. */
#include "store_fixture.h"

/* ---- devices ---- */

static void first_number_is_256(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(add_device(f->store, "A").id, 256);
	assert_int_equal(add_device(f->store, "B").id, 257);
}

static void numbers_never_come_again(void **state)
{
	struct fixture *f = *state;
	add_device(f->store, "A");
	int64_t last = add_device(f->store, "B").id;
	remove_device(f->store, last);
	fixture_close(f);
	fixture_open(f, STORE_SERVE);
	assert_int_equal(add_device(f->store, "B").id, last + 1);
}

static void assert_same_device(const struct device *a, const struct device *b)
{
	assert_int_equal(a->id, b->id);
	assert_string_equal(a->udid, b->udid);
	assert_int_equal(a->user_enrolled, b->user_enrolled);
	assert_int_equal(a->unenrolled, b->unenrolled);
	assert_int_equal(a->status, b->status);
	assert_string_equal(a->identity, b->identity);
	assert_int_equal(a->created_at, b->created_at);
	assert_int_equal(a->enrolled_at, b->enrolled_at);
	assert_int_equal(a->reenrolled_at, b->reenrolled_at);
	assert_int_equal(a->checked_out_at, b->checked_out_at);
	assert_int_equal(a->retrieved_at, b->retrieved_at);
	assert_int_equal(a->proven_at, b->proven_at);
	assert_int_equal(a->escrowed_at, b->escrowed_at);
	assert_int_equal(a->security_size, b->security_size);
	assert_int_equal(a->token_size, b->token_size);
	assert_int_equal(a->security_at, b->security_at);
	assert_int_equal(a->status_at, b->status_at);
	assert_int_equal(a->token_at, b->token_at);
	assert_int_equal(a->change, b->change);
}

static void device_round_trip(void **state)
{
	struct fixture *f = *state;
	struct device device = {
		.udid = "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E",
		.user_enrolled = true,
		.unenrolled = true,
		.status = STATUS_STALE,
		.identity = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		.created_at = 1,
		.enrolled_at = 2,
		.reenrolled_at = 3,
		.checked_out_at = 4,
		.retrieved_at = 5,
		.proven_at = 6,
		.escrowed_at = 7,
		.security_size = UINT32_MAX,
		.token_size = 9,
		.security_at = INT64_MAX,
		.status_at = 11,
		.token_at = 12,
	};
	struct device seen;
	assert_int_equal(store_change(f->store, add_apply, &device), OK);
	assert_int_equal(look(f->store, device.id, &seen), OK);
	assert_same_device(&seen, &device);

	device.user_enrolled = false;
	device.status = STATUS_UNENROLLED;
	device.identity[0] = 0;
	device.enrolled_at = 22;
	device.token_at = 33;
	device.token_size = 0;
	int64_t before = device.change;
	save_device(f->store, &device);
	assert_true(device.change > before);
	assert_int_equal(look(f->store, device.id, &seen), OK);
	assert_same_device(&seen, &device);
}

static enum error add_and_finish_apply(struct tx *tx, void *context)
{
	struct device *device = context, bare = {.status = device->status};
	memcpy(bare.udid, device->udid, sizeof bare.udid);
	TRY(store_device_add(tx, &bare));
	device->id = bare.id;
	device->change = bare.change;
	return store_device_finish(tx, device);
}

static void finished_in_the_change_that_adds(void **state)
{
	struct fixture *f = *state;
	struct device before = add_device(f->store, "Abc-1"), seen;
	struct device device = {
		.udid = "Abc-2",
		.user_enrolled = true,
		.unenrolled = true,
		.status = STATUS_STALE,
		.identity = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		.created_at = 1,
		.enrolled_at = 2,
		.reenrolled_at = 3,
		.checked_out_at = 4,
		.retrieved_at = 5,
		.proven_at = 6,
		.escrowed_at = 7,
		.security_size = 8,
		.sealed_size = 9,
		.token_size = 10,
		.security_at = 11,
		.status_at = 12,
		.token_at = 13,
	};
	assert_int_equal(store_change(f->store, add_and_finish_apply, &device), OK);
	assert_int_equal(device.change, before.change + 1);
	assert_int_equal(look(f->store, device.id, &seen), OK);
	assert_same_device(&seen, &device);
	assert_int_equal(seen.sealed_size, device.sealed_size);
}

static void names_fold_and_match(void **state)
{
	struct fixture *f = *state;
	struct device device = add_device(f->store, "Abc-1"), twin = {.udid = "aBC-1"}, seen;
	assert_int_equal(store_change(f->store, add_apply, &twin), ERR_EXISTS);
	assert_says("Abc-1");
	assert_int_equal(twin.id, 0);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_named(tx, "Abc-1", &seen), OK);
	assert_int_equal(store_device_named(tx, "ABC-1", &seen), ERR_NOT_FOUND);
	assert_int_equal(store_device_folded(tx, "aBC-1", &seen), OK);
	assert_int_equal(seen.id, device.id);
	assert_string_equal(seen.udid, "Abc-1");
	seen.id = 4711; /* what isn't found leaves it alone */
	assert_int_equal(store_device_folded(tx, "Abc-2", &seen), ERR_NOT_FOUND);
	assert_says("Abc-2");
	assert_int_equal(store_device(tx, 1, &seen), ERR_GONE);
	assert_int_equal(seen.id, 4711);
	assert_string_equal(seen.udid, "Abc-1");
}

static void a_name_that_is_no_udid(void **state)
{
	struct fixture *f = *state;
	struct device device = {.udid = "../../etc"};
	assert_int_not_equal(store_change(f->store, add_apply, &device), OK);
	struct device none = {.udid = ""};
	assert_int_not_equal(store_change(f->store, add_apply, &none), OK);
}

static void removed_is_out_of_sight(void **state)
{
	struct fixture *f = *state;
	struct device device = add_device(f->store, "A"), seen;
	remove_device(f->store, device.id);
	assert_int_equal(look(f->store, device.id, &seen), ERR_GONE);
	assert_int_equal(store_change(f->store, save_apply, &device), ERR_GONE);
	assert_int_equal(store_change(f->store, remove_apply, &device.id), ERR_GONE);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	uint64_t counts[STATUS_COUNT];
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_named(tx, "A", &seen), ERR_NOT_FOUND);
	assert_int_equal(store_device_folded(tx, "a", &seen), ERR_NOT_FOUND);
	assert_int_equal(store_device_counts(tx, counts), OK);
	for (int i = 0; i < STATUS_COUNT; i++)
		assert_int_equal(counts[i], 0);
	/* One of its name is another one. */
	assert_int_equal(add_device(f->store, "a").id, device.id + 1);
}

static void counts_follow(void **state)
{
	struct fixture *f = *state;
	struct device a = add_device(f->store, "A"), b = add_device(f->store, "B");
	add_device(f->store, "C");
	a.status = b.status = STATUS_ESCROWED;
	save_device(f->store, &a);
	save_device(f->store, &b);
	save_device(f->store, &b);
	remove_device(f->store, b.id);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	uint64_t counts[STATUS_COUNT];
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_device_counts(tx, counts), OK);
	assert_int_equal(counts[STATUS_ESCROWED], 1);
	assert_int_equal(counts[STATUS_NOT_ESCROWED], 1);
	assert_int_equal(counts[STATUS_STALE], 0);
}

/* ---- listings ---- */

#define MANY 10000

static enum error many_apply(struct tx *tx, void *context)
{
	(void)context;
	for (int i = 0; i < MANY; i++) {
		struct device device = {.status = i % 10 ? STATUS_NOT_ESCROWED : STATUS_ESCROWED};
		snprintf(device.udid, sizeof device.udid, "DEVICE-%05d", i);
		TRY(store_device_add(tx, &device));
	}
	return OK;
}

struct listing {
	int64_t last;
	int count, stop_at;
	bool broken;
};

static bool list(void *context, int64_t id, const char *udid)
{
	struct listing *listing = context;
	char expected[32];
	snprintf(expected, sizeof expected, "DEVICE-%05d", (int)id - 256);
	if (id <= listing->last || strcmp(udid, expected) != 0)
		listing->broken = true;
	listing->last = id;
	return ++listing->count != listing->stop_at;
}

static int list_all(struct tx *tx, enum status status)
{
	struct listing listing = {0};
	int before;
	do {
		before = listing.count;
		assert_int_equal(store_devices(tx, status, listing.last, 333, list, &listing), OK);
		assert_true(listing.count - before <= 333);
	} while (listing.count > before);
	assert_false(listing.broken);
	return listing.count;
}

static void lists_by_cursor(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(store_change(f->store, many_apply, NULL), OK);
	for (int64_t id = 300; id < 310; id++)
		remove_device(f->store, id);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(list_all(tx, STATUS_COUNT), MANY - 10);
	assert_int_equal(list_all(tx, STATUS_ESCROWED), MANY / 10 - 1);
	assert_int_equal(list_all(tx, STATUS_STALE), 0);
	struct listing listing = {.stop_at = 3};
	assert_int_equal(store_devices(tx, STATUS_COUNT, 0, 100, list, &listing), OK);
	assert_int_equal(listing.count, 3);
	assert_int_equal(listing.last, 258);
}

struct changes {
	int count;
	int64_t change[8], id[8];
	char udid[8][UDID_MAX + 1];
	bool removed[8];
};

static bool note_change(void *context, int64_t change, int64_t id, const char *udid, bool removed)
{
	struct changes *changes = context;
	int i = changes->count++;
	changes->change[i] = change;
	changes->id[i] = id;
	snprintf(changes->udid[i], sizeof changes->udid[i], "%s", udid);
	changes->removed[i] = removed;
	return changes->count < 8;
}

static void changes_in_order(void **state)
{
	struct fixture *f = *state;
	struct device a = add_device(f->store, "A"), b = add_device(f->store, "B");
	struct device c = add_device(f->store, "C");
	int64_t since = c.change, now;
	save_device(f->store, &a);
	save_device(f->store, &b);
	save_device(f->store, &a);
	remove_device(f->store, c.id);
	assert_int_equal(store_change(f->store, line_apply, NULL), OK); /* no device */
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct changes changes = {0};
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_change_number(tx, &now), OK);
	assert_int_equal(store_devices_changed(tx, since, 8, note_change, &changes), OK);
	assert_int_equal(changes.count, 3);
	assert_string_equal(changes.udid[0], "B");
	assert_int_equal(changes.change[0], b.change);
	assert_string_equal(changes.udid[1], "A");
	assert_int_equal(changes.change[1], a.change);
	assert_string_equal(changes.udid[2], "C");
	assert_int_equal(changes.id[2], c.id);
	assert_true(changes.removed[2] && !changes.removed[1]);
	assert_int_equal(changes.change[2], now);

	changes.count = 0;
	assert_int_equal(store_devices_changed(tx, since, 1, note_change, &changes), OK);
	assert_int_equal(changes.count, 1);
	assert_int_equal(store_devices_changed(tx, now, 8, note_change, &changes), OK);
	assert_int_equal(changes.count, 1);
}

static void others_changes_are_seen(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	assert_int_equal(store_open(f->path, STORE_SHARE, NULL, &other), OK);
	int64_t change = add_device(other, "A").change, now;
	store_close(other);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_change_number(tx, &now), OK);
	assert_int_equal(now, change);
}

/* ---- facts ---- */

struct with_facts {
	int64_t device;
	struct facts facts;
};

static enum error facts_apply(struct tx *tx, void *context)
{
	struct with_facts *with = context;
	struct facts stored;
	TRY(store_facts(tx, with->device, &stored));
	return store_facts_save(tx, with->device, &stored, &with->facts);
}

static void assert_facts(struct store *store, const struct with_facts *with)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct facts seen;
	assert_int_equal(store_view(store, &tx), OK);
	assert_int_equal(store_facts(tx, with->device, &seen), OK);
	for (int i = 0; i < FACT_COUNT; i++) {
		const struct fact *a = &seen.of[i], *b = &with->facts.of[i];
		assert_int_equal(a->at, b->at);
		assert_int_equal(a->state, b->state);
		assert_int_equal(a->source, b->source);
		assert_int_equal(a->flag, b->flag);
		assert_string_equal(a->text, b->text);
	}
}

static void facts_round_trip(void **state)
{
	struct fixture *f = *state;
	struct with_facts with = {.device = add_device(f->store, "A").id};
	assert_facts(f->store, &with);
	fact_set_flag(&with.facts, FACT_ENCRYPTED, true, 5, SOURCE_SECURITY_INFO);
	fact_set_flag(&with.facts, FACT_SUPERVISED, false, 6, SOURCE_DEVICE_INFORMATION);
	fact_set_text(&with.facts, FACT_SERIAL_NUMBER, "C02 \xc3\xa9\"'", 7, SOURCE_AUTHENTICATE);
	fact_set_text(&with.facts, FACT_MODEL, "", 8, SOURCE_BY_HAND);
	fact_set_unknown(&with.facts, FACT_ENROLLED_VIA_DEP, 9, SOURCE_AUTHENTICATE);
	with.facts.of[FACT_USER_APPROVED_ENROLLMENT] = (struct fact){
		.at = 10, .state = FACT_OUT_OF_DATE, .source = SOURCE_SECURITY_INFO, .flag = true};
	assert_int_equal(store_change(f->store, facts_apply, &with), OK);
	assert_facts(f->store, &with);

	fact_set_flag(&with.facts, FACT_ENCRYPTED, false, 15, SOURCE_BY_HAND);
	fact_set_text(&with.facts, FACT_SERIAL_NUMBER, "123", 17, SOURCE_AUTHENTICATE);
	with.facts.of[FACT_MODEL] = (struct fact){0};
	assert_int_equal(store_change(f->store, facts_apply, &with), OK);
	assert_facts(f->store, &with);

	remove_device(f->store, with.device);
	memset(&with.facts, 0, sizeof with.facts);
	assert_facts(f->store, &with);
}

static void facts_need_a_device(void **state)
{
	struct fixture *f = *state;
	struct with_facts with = {.device = 4711};
	fact_set_flag(&with.facts, FACT_ENCRYPTED, true, 5, SOURCE_SECURITY_INFO);
	assert_int_not_equal(store_change(f->store, facts_apply, &with), OK);
}

/* ---- names ---- */

struct with_names {
	int64_t device;
	enum name_kind kind;
	const char *names[3];
	int n;
};

static enum error names_apply(struct tx *tx, void *context)
{
	struct with_names *with = context;
	return store_names_save(tx, with->device, with->kind, with->names, with->n);
}

static void set_names(struct store *store, int64_t device, enum name_kind kind, const char *one,
		      const char *two)
{
	struct with_names with = {.device = device, .kind = kind, .names = {one, two}};
	with.n = two ? 2 : one ? 1 : 0;
	assert_int_equal(store_change(store, names_apply, &with), OK);
}

/* The UDID of the device that has the name, or "". */
static const char *bearer(struct store *store, enum name_kind kind, const char *name)
{
	static struct device device;
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(store, &tx), OK);
	enum error found = store_name(tx, kind, name, &device);
	assert_true(found == OK || found == ERR_NOT_FOUND);
	return found ? "" : device.udid;
}

struct names {
	int count;
	int64_t cursor[8], device[8];
	char line[8][128]; /* the name, and the UDID of the device */
};

static bool note_name(void *context, int64_t cursor, const char *name, int64_t device)
{
	struct names *names = context;
	names->cursor[names->count] = cursor;
	names->device[names->count] = device;
	snprintf(names->line[names->count++], 64, "%s", name);
	return true;
}

static struct names names_of(struct store *store, enum name_kind kind, int64_t after, int limit)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	struct names names = {0};
	assert_int_equal(store_view(store, &tx), OK);
	assert_int_equal(store_names(tx, kind, after, limit, note_name, &names), OK);
	for (int i = 0; i < names.count; i++) {
		struct device device;
		size_t len = strlen(names.line[i]);
		assert_int_equal(store_device(tx, names.device[i], &device), OK);
		snprintf(names.line[i] + len, sizeof names.line[i] - len, " %s", device.udid);
	}
	return names;
}

static void names_replace(void **state)
{
	struct fixture *f = *state;
	int64_t a = add_device(f->store, "A").id;
	set_names(f->store, a, NAME_MAC, "aabbccddeeff", "001122334455");
	set_names(f->store, a, NAME_SERIAL, "c02", NULL);
	assert_string_equal(bearer(f->store, NAME_MAC, "aabbccddeeff"), "A");
	assert_string_equal(bearer(f->store, NAME_MAC, "001122334455"), "A");
	assert_string_equal(bearer(f->store, NAME_SERIAL, "c02"), "A");
	assert_string_equal(bearer(f->store, NAME_IMEI, "c02"), "");

	int64_t kept = names_of(f->store, NAME_MAC, 0, 8).cursor[1];
	set_names(f->store, a, NAME_MAC, "001122334455", "778899aabbcc");
	assert_string_equal(bearer(f->store, NAME_MAC, "aabbccddeeff"), "");
	assert_string_equal(bearer(f->store, NAME_MAC, "778899aabbcc"), "A");
	assert_string_equal(bearer(f->store, NAME_SERIAL, "c02"), "A");
	struct names names = names_of(f->store, NAME_MAC, 0, 8);
	assert_int_equal(names.count, 2);
	assert_int_equal(names.cursor[0], kept); /* a name that stays keeps its number */

	set_names(f->store, a, NAME_MAC, "778899aabbcc", "778899aabbcc"); /* the same twice */
	assert_int_equal(names_of(f->store, NAME_MAC, 0, 8).count, 1);
	set_names(f->store, a, NAME_MAC, NULL, NULL);
	assert_int_equal(names_of(f->store, NAME_MAC, 0, 8).count, 0);
	remove_device(f->store, a);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "c02"), "");
	assert_int_equal(names_of(f->store, NAME_SERIAL, 0, 8).count, 0);
	assert_int_equal(store_check(f->store), OK);
}

static void later_enrolment_wins(void **state)
{
	struct fixture *f = *state;
	struct device a = add_device(f->store, "A"), b = add_device(f->store, "B");
	set_names(f->store, a.id, NAME_SERIAL, "same", NULL);
	set_names(f->store, b.id, NAME_SERIAL, "same", NULL);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "same"), "B"); /* the higher number */
	a.enrolled_at = 10;
	save_device(f->store, &a);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "same"), "A");
	b.enrolled_at = 11;
	save_device(f->store, &b);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "same"), "B");
	a.reenrolled_at = 12;
	save_device(f->store, &a);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "same"), "A");
	struct names names = names_of(f->store, NAME_SERIAL, 0, 8);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.line[0], "same A");
	/* The one that lost it is still found when the other goes, under the same cursor. */
	remove_device(f->store, a.id);
	assert_string_equal(bearer(f->store, NAME_SERIAL, "same"), "B");
	assert_int_equal(names_of(f->store, NAME_SERIAL, 0, 8).cursor[0], names.cursor[0]);
}

static void names_by_cursor(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 6; i++) {
		char udid[16], name[16];
		snprintf(udid, sizeof udid, "D%d", i);
		snprintf(name, sizeof name, "n%d", 5 - i);
		int64_t id = add_device(f->store, udid).id;
		set_names(f->store, id, NAME_IMEI, "elsewhere", NULL);
		set_names(f->store, id, NAME_SERIAL, name, NULL);
	}
	struct names first = names_of(f->store, NAME_SERIAL, 0, 4);
	assert_int_equal(first.count, 4);
	assert_string_equal(first.line[0], "n5 D0");
	struct names rest = names_of(f->store, NAME_SERIAL, first.cursor[3], 4);
	assert_int_equal(rest.count, 2);
	assert_string_equal(rest.line[1], "n0 D5");
	assert_int_equal(names_of(f->store, NAME_SERIAL, rest.cursor[1], 4).count, 0);
}

/* ---- access ---- */

struct with_access {
	uint64_t node;
	struct access access;
};

static enum error access_apply(struct tx *tx, void *context)
{
	struct with_access *with = context;
	return store_access_save(tx, with->node, &with->access);
}

static enum error look_access(struct store *store, uint64_t node, struct access *out)
{
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	TRY(store_view(store, &tx));
	return store_access(tx, node, out);
}

static void access_round_trip(void **state)
{
	struct fixture *f = *state;
	static struct with_access with = {.node = 3,
					  .access = {.owner = {.uid = UINT32_MAX - 1,
							       .gid = 4,
							       .mode = 0640,
							       .changed_at = 99}}};
	static struct access seen;
	assert_int_equal(look_access(f->store, 3, &seen), ERR_NOT_FOUND);
	assert_int_equal(store_change(f->store, access_apply, &with), OK);
	assert_int_equal(look_access(f->store, 3, &seen), OK);
	assert_int_equal(seen.owner.uid, UINT32_MAX - 1);
	assert_int_equal(seen.owner.gid, 4);
	assert_int_equal(seen.owner.mode, 0640);
	assert_int_equal(seen.owner.changed_at, 99);
	assert_int_equal(seen.acl_len, 0);
	assert_int_equal(seen.default_len, 0);

	with.access.owner.mode = 0770;
	with.access.acl_len = STORE_ACL_MAX;
	with.access.default_len = 5;
	memset(with.access.acl, 0xa5, STORE_ACL_MAX);
	memcpy(with.access.default_acl, "\0\1\2\3", 5);
	assert_int_equal(store_change(f->store, access_apply, &with), OK);
	assert_int_equal(look_access(f->store, 3, &seen), OK);
	assert_int_equal(seen.owner.mode, 0770);
	assert_int_equal(seen.acl_len, STORE_ACL_MAX);
	assert_memory_equal(seen.acl, with.access.acl, STORE_ACL_MAX);
	assert_int_equal(seen.default_len, 5);
	assert_memory_equal(seen.default_acl, "\0\1\2\3", 5);
}

static void access_goes_with_the_device(void **state)
{
	struct fixture *f = *state;
	struct device a = add_device(f->store, "A"), b = add_device(f->store, "B");
	static struct with_access with = {.access = {.owner = {.mode = 0600}}};
	static struct access seen;
	for (uint64_t node = (uint64_t)a.id * 4; node < (uint64_t)b.id * 4 + 4; node++) {
		with.node = node;
		assert_int_equal(store_change(f->store, access_apply, &with), OK);
	}
	remove_device(f->store, a.id);
	for (uint64_t node = (uint64_t)a.id * 4; node < (uint64_t)b.id * 4 + 4; node++)
		assert_int_equal(look_access(f->store, node, &seen),
				 node < (uint64_t)b.id * 4 ? ERR_NOT_FOUND : OK);
}

struct glances {
	int count;
	struct device of[4];
};

static bool glance(void *context, const struct device *device)
{
	struct glances *glances = context;
	glances->of[glances->count++] = *device;
	return true;
}

static void a_device_says_what_is_pinned(void **state)
{
	struct fixture *f = *state;
	struct device a = add_device(f->store, "A"), b = add_device(f->store, "B"), now;
	static struct with_access with = {.access = {.owner = {.mode = 0600}}};
	for (uint64_t file = 1; file <= 3; file += 2) {
		with.node = (uint64_t)b.id * 4 + file;
		assert_int_equal(store_change(f->store, access_apply, &with), OK);
	}
	assert_int_equal(look(f->store, a.id, &now), OK);
	assert_int_equal(now.pinned, 0);
	/* To write the device back as it was known before changes nothing of it. */
	save_device(f->store, &b);
	assert_int_equal(look(f->store, b.id, &now), OK);
	assert_int_equal(now.pinned, 1 << 1 | 1 << 3);

	struct glances glances = {0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_glances(tx, 0, 4, glance, &glances), OK);
	assert_int_equal(glances.count, 2);
	assert_int_equal(glances.of[0].pinned, 0);
	assert_int_equal(glances.of[1].id, b.id);
	assert_string_equal(glances.of[1].udid, "B");
	assert_int_equal(glances.of[1].pinned, now.pinned);
	assert_int_equal(glances.of[1].created_at, now.created_at);
	assert_int_equal(glances.of[1].security_at, 0);
}

/* By number, however many there are, without those that were taken away; all that is known of each. */
static void devices_between_numbers(void **state)
{
	struct fixture *f = *state;
	struct device device[5], now;
	for (int i = 0; i < 5; i++)
		device[i] = add_device(f->store, (char[]){(char)('A' + i), 0});
	remove_device(f->store, device[2].id);
	struct glances glances = {0};
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_devices_between(tx, device[0].id, device[3].id, glance, &glances),
			 OK);
	assert_int_equal(glances.count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_device(tx, device[1 + 2 * i].id, &now), OK);
		assert_same_device(&glances.of[i], &now);
	}
	assert_int_equal(
		store_devices_between(tx, device[4].id, device[4].id + 40, glance, &glances), OK);
	assert_int_equal(glances.count, 2);
}

static bool owner_of_7(void *context, uint64_t node, const struct owner *owner)
{
	assert_int_equal(node, 7);
	*(struct owner *)context = *owner;
	return true;
}

static void owners_without_lists(void **state)
{
	struct fixture *f = *state;
	static struct with_access with = {.node = 7, .access = {.owner = {.gid = 9, .mode = 0640}}};
	struct owner owner, again;
	assert_int_equal(store_change(f->store, access_apply, &with), OK);
	with.node = 70;
	with.access.default_len = 5;
	assert_int_equal(store_change(f->store, access_apply, &with), OK);
	SCOPED(store_view_scoped) struct tx *tx = NULL;
	assert_int_equal(store_view(f->store, &tx), OK);
	assert_int_equal(store_owner(tx, 8, &owner), ERR_NOT_FOUND);
	assert_int_equal(store_owner(tx, 70, &owner), OK);
	assert_true(owner.lists);
	assert_int_equal(store_owner(tx, 7, &owner), OK);
	assert_false(owner.lists);
	assert_int_equal(owner.gid, 9);
	assert_int_equal(store_owners(tx, 64, owner_of_7, &again), OK);
	assert_int_equal(again.mode, 0640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(first_number_is_256),
		WITH_STORE(numbers_never_come_again),
		WITH_STORE(device_round_trip),
		WITH_STORE(finished_in_the_change_that_adds),
		WITH_STORE(names_fold_and_match),
		WITH_STORE(a_name_that_is_no_udid),
		WITH_STORE(removed_is_out_of_sight),
		WITH_STORE(counts_follow),
		WITH_STORE(lists_by_cursor),
		WITH_STORE(changes_in_order),
		WITH_STORE(others_changes_are_seen),
		WITH_STORE(facts_round_trip),
		WITH_STORE(facts_need_a_device),
		WITH_STORE(names_replace),
		WITH_STORE(later_enrolment_wins),
		WITH_STORE(names_by_cursor),
		WITH_STORE(access_round_trip),
		WITH_STORE(access_goes_with_the_device),
		WITH_STORE(a_device_says_what_is_pinned),
		WITH_STORE(devices_between_numbers),
		WITH_STORE(owners_without_lists),
	};
	return cmocka_run_group_tests_name("store: devices", tests, NULL, NULL);
}

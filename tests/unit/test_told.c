/* What the trail tells: what a line says, and which version is current after all lines of a device. */
#include "escrow/told.h"

#include "store_fixture.h"

#define UDID "9353BC9A-5CF9-4C9E-9AD4-8D1E41D5FE3E"
#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* ---- a line ---- */

static bool read_line(const char *action, int version, const char *blob, const char *reason,
		      struct mention *out)
{
	struct json_line line = {.seq = 5, .version = version};
	snprintf(line.action, sizeof line.action, "%s", action);
	snprintf(line.outcome, sizeof line.outcome, "ok");
	snprintf(line.udid, sizeof line.udid, "%s", UDID);
	snprintf(line.blob, sizeof line.blob, "%s", blob);
	snprintf(line.reason, sizeof line.reason, "%s", reason);
	return told_read(&line, 99, out);
}

/* A file may be called anything: what stands behind its name counts. */
static void what_a_line_says(void **state)
{
	(void)state;
	static const struct {
		const char *action, *reason;
		int version;
		const char *blob;
		int kind; /* -1: nothing */
	} lines[] = {
		{"escrow", "by hand", 1, HEX_A, TOLD_CAME},
		{"escrow", "by hand; a replay: the token equals version 1", 1, HEX_A, TOLD_CAME},
		{"escrow", "SetBootstrapToken, sent 2026-01-31T08:15:00.123Z", 1, HEX_A,
		 TOLD_CAME | TOLD_ELSEWHERE},
		{"escrow",
		 "SetBootstrapToken, sent before the last change: kept as a version that has ended",
		 1, HEX_A, TOLD_CAME_PAST | TOLD_ELSEWHERE},
		{"import", "from nanomdm", 1, HEX_A, TOLD_CAME | TOLD_ELSEWHERE},
		{"import",
		 "from nanomdm, sent before the last change: kept as a version that has ended", 1,
		 HEX_A, TOLD_CAME_PAST | TOLD_ELSEWHERE},
		{"import", "a/token: the token, escrowed 2026-01-31T08:15:00.123Z", 1, HEX_A,
		 TOLD_CAME | TOLD_ELSEWHERE},
		{"import", "a: an old version, escrowed x: the token, escrowed y", 1, HEX_A,
		 TOLD_CAME | TOLD_ELSEWHERE},
		{"import", "a: the token, escrowed x: an old version, escrowed y", 1, HEX_A,
		 TOLD_CAME_PAST | TOLD_ELSEWHERE},
		{"import", "a: the token, escrowed x, kept unopened until a key opens it", 1, HEX_A,
		 TOLD_CAME | TOLD_ELSEWHERE | TOLD_UNOPENED},
		{"import", "a, kept unopened until a key opens it: the token, escrowed x", 1, HEX_A,
		 TOLD_CAME | TOLD_ELSEWHERE},
		{"import", "a: it had ended there: removed", 1, "",
		 TOLD_CAME_PAST | TOLD_ELSEWHERE | TOLD_UNOPENED},
		{"import", "a: it was confirmed there 2026", 1, "", TOLD_CONFIRMED_THERE},
		{"import", "a: a new device", 0, "", -1},
		{"confirm", "by hand", 1, "", TOLD_CONFIRMED},
		{"confirm", "SetBootstrapToken, sent 2026", 1, "", TOLD_CONFIRMED | TOLD_ELSEWHERE},
		{"retrieve", "", 1, "", TOLD_LEFT},
		{"export", "", 1, "", TOLD_LEFT},
		{"remove", "by hand", 1, "", TOLD_REMOVED},
		{"undo", "", 1, "", TOLD_UNDONE},
		{"rekey", "", 1, HEX_A, TOLD_SEALED},
		{"purge", "destroyed", 1, HEX_A, TOLD_PURGED},
		{"enrol", "Authenticate", 0, "", TOLD_AUTHENTICATED},
		{"enrol", SAYS_RENEWED, 0, "", TOLD_RENEWED},
		{"enrol", SAYS_SET_UP, 0, "", TOLD_SET_UP},
		{"enrol", "TokenUpdate", 0, "", -1},
		{"facts", "DeviceInformation" SAYS_PROVEN, 0, "", TOLD_PROVEN},
		{"facts", "DeviceInformation: OSVersion", 0, "", -1},
		{"identity", "bound to client certificate " HEX_B, 0, "", TOLD_BOUND},
		{"identity", "it came with: " HEX_B ", before " HEX_A, 0, "", TOLD_BOUND},
		{"identity", "another: " HEX_B ", its own is " HEX_A "; it", 0, "", TOLD_STRANGER},
		{"identity", "bound to " HEX_B ", as in x, its own is y", 0, "", TOLD_BOUND},
		{"identity", "bound to nothing", 0, "", -1},
		{"device", "made by hand", 0, "", -1},
		{"device", SAYS_TAKEN_AWAY, 0, "", TOLD_TAKEN_AWAY},
		{"check out", "", 0, "", -1},
		{"mode", "/x: mode 0640, before 0600; inode 1039 is now 0640 0:0", 0, "",
		 TOLD_SETTING},
		{"policy", "/x: mode 0640, before 0600", 0, "", TOLD_SETTING},
		{"no such", "", 1, HEX_A, -1},
	};
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct mention said = {0};
		bool says = read_line(lines[i].action, lines[i].version, lines[i].blob,
				      lines[i].reason, &said);
		if (says != (lines[i].kind >= 0) || (says && said.kind != lines[i].kind))
			print_error("%s: %s\n", lines[i].action, lines[i].reason);
		assert_int_equal(says, lines[i].kind >= 0);
		if (!says)
			continue;
		assert_int_equal(said.kind, lines[i].kind);
		assert_int_equal(said.line, 5);
		assert_int_equal(said.at, 99);
		if (said.kind == TOLD_BOUND || said.kind == TOLD_STRANGER)
			assert_string_equal(said.text, HEX_B);
	}
	struct mention said;
	assert_true(read_line("mode", 0, "",
			      "/x: mode 0640; inode 7 is now 1 2; inode 1039 is now 0640 0:0",
			      &said));
	assert_string_equal(said.whose, TOLD_INODES);
	assert_int_equal(said.number, 1039);
	assert_string_equal(said.text, "0640 0:0");
	assert_true(read_line("mode", 0, "", "/x: mode 0640", &said));
	assert_string_equal(said.text, "");
}

/* ---- all lines of a device ---- */

static char findings[600];

static void note(void *context, const char *sentence)
{
	(void)context;
	size_t n = strlen(findings);
	snprintf(findings + n, sizeof findings - n, "%s\n", sentence);
}

/*
 * Lines as "e1 e2 c2 r2": a letter and a version. e escrow, p one that had ended, c confirm, g
 * retrieve, r remove, u undo, d destroyed, i import, k rekey. Each a second later than the one before.
 */
static void play(struct fixture *f, const char *lines, struct told *told)
{
	SCOPED(store_mentions_scoped) struct mentions *mentions = NULL;
	assert_int_equal(store_mentions_new(f->store, &mentions), OK);
	*findings = 0;
	for (int n = 1; *lines; lines += 2 + (lines[2] == ' '), n++) {
		struct mention mention = {.number = lines[1] - '0', .line = n, .at = n * 1000};
		snprintf(mention.whose, sizeof mention.whose, "%s", UDID);
		mention.kind = *lines == 'e'   ? TOLD_CAME
			       : *lines == 'p' ? TOLD_CAME_PAST | TOLD_ELSEWHERE
			       : *lines == 'c' ? TOLD_CONFIRMED
			       : *lines == 'g' ? TOLD_LEFT
			       : *lines == 'r' ? TOLD_REMOVED
			       : *lines == 'u' ? TOLD_UNDONE
			       : *lines == 'd' ? TOLD_PURGED
			       : *lines == 'i' ? TOLD_CAME | TOLD_ELSEWHERE | TOLD_UNOPENED
					       : TOLD_SEALED;
		assert_int_equal(store_mention_add(mentions, &mention), OK);
	}
	assert_int_equal(told_of(mentions, UDID, note, NULL, told), OK);
}

static void which_is_current(void **state)
{
	static const struct {
		const char *lines;
		int current;
	} tales[] = {
		{"e1", 1},
		{"e1 e2", 2},
		{"e1 c1 g1 e2 c2 g2", 2},
		{"e1 r1", 0},
		{"e1 r1 e2", 2},
		{"e1 p2", 1},
		{"p1", 0},
		{"e1 e2 u2", 1},
		{"e1 u1", 0},
		{"e1 r1 u1", 1},
		{"e1 e2 e3 u3 u2", 1},
		{"e1 e2 e3 u3 u2 g1", 1},
		{"e1 e2 u2 e3 u3 g1", 1},
		{"e1 e2 d1 g2", 2},
		{"i1 g1 k1", 1},
		{"i1 i2", 2},
		{"e2 i1", 1},
		{"i3 p1 p2 g3", 3},
		{"", 0},
	};
	for (size_t i = 0; i < COUNT(tales); i++) {
		SCOPED(told_free) struct told told = {0};
		play(*state, tales[i].lines, &told);
		if (told.current != tales[i].current || *findings)
			print_error("%s: %d\n%s", tales[i].lines, told.current, findings);
		assert_int_equal(told.current, tales[i].current);
		assert_string_equal(findings, "");
	}
}

static void what_cannot_have_been(void **state)
{
	static const struct {
		const char *lines, *says;
	} tales[] = {
		{"e1 e2 g1", "trail: line 3: device " UDID
			     ", version 1 was handed out, and version 2 was the current one"},
		{"e1 e2 c1", "line 3: device " UDID ", version 1 was confirmed, and version 2 was"},
		{"e1 e2 r1", "line 3: device " UDID ", version 1 was removed, and version 2 was"},
		{"e1 e2 d2", "line 3: device " UDID ", version 2 was destroyed, and version 2 was"},
		{"e1 r1 g1", "line 3: device " UDID ", version 1 was handed out, and none was"},
		{"e1 e2 u1",
		 "line 3: device " UDID ", version 1 was brought back, and version 2 was"},
	};
	for (size_t i = 0; i < COUNT(tales); i++) {
		SCOPED(told_free) struct told told = {0};
		play(*state, tales[i].lines, &told);
		if (!strstr(findings, tales[i].says))
			print_error("%s: %s", tales[i].lines, findings);
		assert_non_null(strstr(findings, tales[i].says));
	}
}

static void why_and_when(void **state)
{
	SCOPED(told_free) struct told told = {0};
	play(*state, "e1 c1 e2 r2 e3 u3 i4 e5", &told);
	assert_int_equal(told.highest, 5);
	assert_int_equal(told.count, 5);
	const struct told_version *v = told_version(&told, 1);
	assert_int_equal(v->escrowed_at, 1000);
	assert_int_equal(v->confirmed_at, 2000);
	assert_int_equal(v->end, END_REPLACED);
	assert_int_equal(v->ended_at, 3000);
	assert_true(v->opened);
	v = told_version(&told, 2);
	assert_int_equal(v->end, END_REMOVED);
	assert_int_equal(v->ended_at, 4000);
	assert_true(v->never_confirmed);
	v = told_version(&told, 3);
	assert_int_equal(v->end, END_UNDONE);
	assert_int_equal(v->ended_at, 6000);
	v = told_version(&told, 4);
	assert_int_equal(v->escrowed_at, 0);
	assert_int_equal(v->ended_at, 8000);
	assert_false(v->opened);
	assert_false(v->never_confirmed);
	assert_null(told_version(&told, 6));
}

/* What was destroyed, and comes again from elsewhere, is as it comes; nobody has opened it since. */
static void destroyed_and_back(void **state)
{
	SCOPED(told_free) struct told told = {0};
	play(*state, "e1 e2 d1 i1", &told);
	assert_false(told_version(&told, 1)->opened);
	assert_true(told_version(&told, 2)->opened);
	assert_string_equal(findings, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_a_line_says),	   WITH_STORE(which_is_current),
		WITH_STORE(what_cannot_have_been), WITH_STORE(why_and_when),
		WITH_STORE(destroyed_and_back),
	};
	return cmocka_run_group_tests_name("escrow: told", tests, NULL, NULL);
}

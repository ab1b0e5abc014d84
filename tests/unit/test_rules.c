/* The table of prerequisites and the table of statuses, row by row as the contract has them. */
#include "escrow/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Facts in words: 'y' true, 'n' false, anything else unknown. */
struct given {
	const char *product, *version;
	char dep, approved, supervised, user;
	bool by_enrollment_id;
};

static void flag(struct facts *facts, enum fact_name name, char word)
{
	if (word == 'y' || word == 'n')
		fact_set_flag(facts, name, word == 'y', 1, SOURCE_SECURITY_INFO);
}

static struct facts facts_of(const struct given *given)
{
	struct facts facts = {0};
	if (given->product)
		fact_set_text(&facts, FACT_PRODUCT_NAME, given->product, 1, SOURCE_AUTHENTICATE);
	if (given->version)
		fact_set_text(&facts, FACT_OS_VERSION, given->version, 1, SOURCE_AUTHENTICATE);
	flag(&facts, FACT_ENROLLED_VIA_DEP, given->dep);
	flag(&facts, FACT_USER_APPROVED_ENROLLMENT, given->approved);
	flag(&facts, FACT_SUPERVISED, given->supervised);
	flag(&facts, FACT_USER_ENROLLMENT, given->user);
	return facts;
}

static enum status status_of(const struct given *given)
{
	struct facts facts = facts_of(given);
	return rules_status(&(struct standing){
		.needs = rules_prerequisites(&facts, given->by_enrollment_id).needs});
}

static const struct {
	struct given given;
	enum status status;
} rows[] = {
	/* macOS before 10.15 */
	{{"Mac14,2", "10.14.6", 0, 0, 0, 0, false}, STATUS_NOT_SUPPORTED},
	{{"iMac14,2", "10.14.6", 'y', 'y', 'y', 0, false}, STATUS_NOT_SUPPORTED},
	{{"iMac14,2", "10", 0, 0, 0, 0, false}, STATUS_NOT_SUPPORTED},
	{{"iMac14,2", "9.2", 0, 0, 0, 0, false}, STATUS_NOT_SUPPORTED},
	/* 10.15.0 to 10.15.3: EnrolledViaDEP false */
	{{"iMac14,2", "10.15", 'n', 'y', 0, 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iMac14,2", "10.15.3", 'n', 'y', 'y', 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iMac14,2", "10.15.3", 'y', 'n', 0, 0, false}, STATUS_NOT_ESCROWED},
	{{"iMac14,2", "10.15.3", 0, 'n', 0, 0, false}, STATUS_NOT_ESCROWED},
	/* from 10.15.4: UserApprovedEnrollment false and EnrolledViaDEP not true */
	{{"iMac14,2", "10.15.4", 'n', 'n', 0, 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iMac14,2", "10.15.4", 0, 'n', 0, 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iMac14,2", "10.15.4", 'y', 'n', 0, 0, false}, STATUS_NOT_ESCROWED},
	{{"iMac14,2", "10.15.4", 'n', 'y', 0, 0, false}, STATUS_NOT_ESCROWED},
	{{"iMac14,2", "10.15.4", 'n', 0, 0, 0, false}, STATUS_NOT_ESCROWED},
	{{"iMac14,2", "10.15.7", 'n', 'n', 'y', 0, false}, STATUS_NOT_ELIGIBLE},
	/* from 11 IsSupervised true is enough */
	{{"Mac14,2", "11.0", 'n', 'n', 'y', 0, false}, STATUS_NOT_ESCROWED},
	{{"Mac14,2", "11", 'n', 'n', 'n', 0, false}, STATUS_NOT_ELIGIBLE},
	{{"Mac14,2", "26.1", 'n', 'n', 0, 0, false}, STATUS_NOT_ELIGIBLE},
	{{"Mac14,2", "10.16", 'n', 'n', 'y', 0, false}, STATUS_NOT_ESCROWED},
	/* letters and suffixes are ignored */
	{{"Mac14,2", "macOS 13.3.1 (a)", 'n', 'n', 0, 0, false}, STATUS_NOT_ELIGIBLE},
	{{"Mac14,2", "10.14.6b3", 0, 0, 0, 0, false}, STATUS_NOT_SUPPORTED},
	/* what isn't known counts as allowing */
	{{0}, STATUS_NOT_ESCROWED},
	{{"Mac14,2", "unknown", 0, 0, 0, 0, false}, STATUS_NOT_ESCROWED},
	{{NULL, "10.14", 0, 0, 0, 0, false},
	 STATUS_NOT_SUPPORTED}, /* an unknown platform is a Mac */
	/* iOS, iPadOS, visionOS */
	{{"iPhone15,2", "25.9", 0, 0, 'y', 0, false}, STATUS_NOT_SUPPORTED},
	{{"iPad13,4", "18.0", 0, 0, 'y', 0, false}, STATUS_NOT_SUPPORTED},
	{{"RealityDevice14,1", "2.0", 0, 0, 'y', 0, false}, STATUS_NOT_SUPPORTED},
	{{"iPad13,4", "26.0", 0, 0, 'n', 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iPhone15,2", "26", 0, 0, 'n', 0, false}, STATUS_NOT_ELIGIBLE},
	{{"RealityDevice14,1", "26", 0, 0, 'n', 0, false}, STATUS_NOT_ELIGIBLE},
	{{"iPad13,4", "26.0", 0, 0, 'y', 0, false}, STATUS_NOT_ESCROWED},
	{{"iPad13,4", "26.0", 0, 'n', 0, 0, false}, STATUS_NOT_ESCROWED},
	{{"iPad13,4", NULL, 0, 0, 'n', 0, false}, STATUS_NOT_ELIGIBLE},
	/* never */
	{{"AppleTV11,1", "26.0", 0, 0, 'y', 0, false}, STATUS_NOT_SUPPORTED},
	{{"Watch6,1", "26.0", 0, 0, 'y', 0, false}, STATUS_NOT_SUPPORTED},
	/* user enrolment */
	{{"Mac14,2", "14.0", 'y', 'y', 'y', 'y', false}, STATUS_NOT_ELIGIBLE},
	{{"Mac14,2", "14.0", 'y', 'y', 'y', 0, true}, STATUS_NOT_ELIGIBLE},
	{{NULL, NULL, 0, 0, 0, 'y', false}, STATUS_NOT_ELIGIBLE},
	{{"Mac14,2", "14.0", 'y', 'y', 'y', 'n', false}, STATUS_NOT_ESCROWED},
};

static void prerequisites_row_by_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (status_of(&rows[i].given) != rows[i].status)
			fail_msg("row %zu (%s %s): %s, should be %s", i,
				 rows[i].given.product ? rows[i].given.product : "-",
				 rows[i].given.version ? rows[i].given.version : "-",
				 status_word(status_of(&rows[i].given)),
				 status_word(rows[i].status));
}

static void status_first_that_applies(void **state)
{
	(void)state;
	static const struct {
		struct standing standing;
		const char *word;
	} words[] = {
		{{true, true, true, NEEDS_MACOS_10_15}, "unenrolled"},
		{{true, false, false, PREREQUISITES_MET}, "unenrolled"},
		{{false, true, true, NEEDS_DEP}, "stale"},
		{{false, true, false, NEEDS_MACOS_10_15}, "escrowed"},
		{{false, false, false, NEEDS_OS_26}, "not_supported"},
		{{false, false, false, NEEDS_OTHER_PLATFORM}, "not_supported"},
		{{false, false, false, NEEDS_DEVICE_ENROLLMENT}, "not_eligible"},
		{{false, false, false, NEEDS_SUPERVISION}, "not_eligible"},
		{{false, false, false, PREREQUISITES_MET}, "not_escrowed"},
	};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		assert_string_equal(status_word(rules_status(&words[i].standing)), words[i].word);
}

static void version_parts(void **state)
{
	(void)state;
	struct os_version v = rules_version("10.15.4");
	assert_true(v.known && v.major == 10 && v.minor == 15 && v.patch == 4);
	v = rules_version("10.16.2");
	assert_true(v.known && v.major == 11 && v.minor == 0);
	v = rules_version("26");
	assert_true(v.known && v.major == 26 && v.minor == 0 && v.patch == 0);
	v = rules_version("15.0b3");
	assert_true(v.known && v.major == 15 && v.minor == 0 && v.patch == 0);
	assert_false(rules_version("").known);
	assert_false(rules_version(NULL).known);
	assert_false(rules_version("Sonoma").known);
	assert_false(rules_version("99999999999999999999").known);
}

static void platform_from_any_name(void **state)
{
	(void)state;
	static const struct {
		enum fact_name fact;
		const char *text;
		enum platform platform;
	} names[] = {
		{FACT_PRODUCT_NAME, "iPad4,1", PLATFORM_IPADOS},
		{FACT_MODEL_NAME, "iPad", PLATFORM_IPADOS},
		{FACT_MODEL, "iPhone3,1", PLATFORM_IOS},
		{FACT_MODEL, "MD786X", PLATFORM_MACOS},
		{FACT_OS_NAME, "visionOS", PLATFORM_VISIONOS},
		{FACT_OS_VERSION, "tvOS 17.1", PLATFORM_TVOS},
		{FACT_PRODUCT_NAME, "VirtualMac2,1", PLATFORM_MACOS},
		{FACT_PRODUCT_NAME, "NextBigThing1,1", PLATFORM_MACOS},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct facts facts = {0};
		fact_set_text(&facts, names[i].fact, names[i].text, 1, SOURCE_AUTHENTICATE);
		assert_int_equal(rules_platform(&facts), names[i].platform);
	}
}

/* A fact that was shown to be out of date, or made unknown, decides nothing. */
static void doubted_facts_allow(void **state)
{
	(void)state;
	struct given given = {"iMac14,2", "10.14.6", 0, 0, 0, 0, false};
	struct facts facts = facts_of(&given);
	struct prerequisites before = rules_prerequisites(&facts, false);
	assert_int_equal(before.needs, NEEDS_MACOS_10_15);
	assert_int_equal(before.decided_by, UINT32_C(1) << FACT_OS_VERSION);
	facts.of[FACT_OS_VERSION].state = FACT_OUT_OF_DATE;
	assert_int_equal(rules_prerequisites(&facts, false).needs, PREREQUISITES_MET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prerequisites_row_by_row),
		cmocka_unit_test(status_first_that_applies),
		cmocka_unit_test(version_parts),
		cmocka_unit_test(platform_from_any_name),
		cmocka_unit_test(doubted_facts_allow),
	};
	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}

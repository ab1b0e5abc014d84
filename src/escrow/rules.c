#include "rules.h"

#include <stddef.h>
#include <strings.h>
#include <string.h>

/* ---- platforms ---- */

const char *platform_name(enum platform platform)
{
	static const char *const names[PLATFORM_COUNT] = {
		[PLATFORM_MACOS] = "macOS",   [PLATFORM_IOS] = "iOS",
		[PLATFORM_IPADOS] = "iPadOS", [PLATFORM_VISIONOS] = "visionOS",
		[PLATFORM_TVOS] = "tvOS",     [PLATFORM_WATCHOS] = "watchOS",
	};
	return names[platform];
}

/*
 * How product, model and system names begin. "iPad" after "iPadOS" and the like would be as good.
 */
static const struct {
	const char *prefix;
	enum platform platform;
} beginnings[] = {
	{"iPhone", PLATFORM_IOS},
	{"iPod", PLATFORM_IOS},
	{"iPad", PLATFORM_IPADOS},
	{"AppleTV", PLATFORM_TVOS},
	{"Apple TV", PLATFORM_TVOS},
	{"Watch", PLATFORM_WATCHOS},
	{"Apple Watch", PLATFORM_WATCHOS},
	{"RealityDevice", PLATFORM_VISIONOS},
	{"Apple Vision", PLATFORM_VISIONOS},
	{"iOS", PLATFORM_IOS},
	{"tvOS", PLATFORM_TVOS},
	{"visionOS", PLATFORM_VISIONOS},
	{"xrOS", PLATFORM_VISIONOS},
	{"Mac", PLATFORM_MACOS},
	{"iMac", PLATFORM_MACOS},
	{"VirtualMac", PLATFORM_MACOS},
	{"OS X", PLATFORM_MACOS},
	{"Xserve", PLATFORM_MACOS},
};

enum platform rules_platform(const struct facts *facts)
{
	static const enum fact_name sayers[] = {FACT_PRODUCT_NAME, FACT_MODEL, FACT_MODEL_NAME,
						FACT_OS_NAME, FACT_OS_VERSION};
	for (size_t s = 0; s < sizeof sayers / sizeof *sayers; s++) {
		const char *text = fact_text(facts, sayers[s]);
		if (!text)
			continue;
		for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
			if (strncasecmp(text, beginnings[i].prefix, strlen(beginnings[i].prefix)) ==
			    0)
				return beginnings[i].platform;
	}
	return PLATFORM_MACOS;
}

/* ---- versions ---- */

struct os_version rules_version(const char *text)
{
	struct os_version version = {.known = false};
	if (!text)
		return version;
	while (*text && (*text < '0' || *text > '9'))
		text++;
	int parts[3] = {0}, n = 0;
	while (n < 3 && *text >= '0' && *text <= '9') {
		for (; *text >= '0' && *text <= '9'; text++) {
			parts[n] = parts[n] * 10 + (*text - '0');
			if (parts[n] > 9999)
				return version;
		}
		n++;
		if (*text != '.')
			break;
		text++;
	}
	if (!n)
		return version;
	version = (struct os_version){true, parts[0], parts[1], parts[2]};
	/* Software that was built before macOS 11 reads it as 10.16. */
	if (version.major == 10 && version.minor == 16)
		version = (struct os_version){true, 11, 0, 0};
	return version;
}

int version_compare(struct os_version a, struct os_version b)
{
	if (a.major != b.major)
		return a.major - b.major;
	if (a.minor != b.minor)
		return a.minor - b.minor;
	return a.patch - b.patch;
}

/* ---- prerequisites ---- */

/*
 * What each version of each system needs. The first row of the platform whose `before` is later
 * than the device's version holds; {0} is "no end". A version that isn't known is held against
 * `unknown` rows only.
 */
static const struct row {
	enum platform platform;
	struct os_version before;
	enum prerequisite needs;
	bool unknown;
} rows[] = {
	{PLATFORM_MACOS, {true, 10, 15, 0}, NEEDS_MACOS_10_15, false},
	{PLATFORM_MACOS, {true, 10, 15, 4}, NEEDS_DEP, false},
	{PLATFORM_MACOS, {true, 11, 0, 0}, NEEDS_APPROVAL, false},
	{PLATFORM_MACOS, {0}, NEEDS_APPROVAL_OR_SUPERVISION, false},
	{PLATFORM_IOS, {true, 26, 0, 0}, NEEDS_OS_26, false},
	{PLATFORM_IOS, {0}, NEEDS_SUPERVISION, true},
	{PLATFORM_IPADOS, {true, 26, 0, 0}, NEEDS_OS_26, false},
	{PLATFORM_IPADOS, {0}, NEEDS_SUPERVISION, true},
	{PLATFORM_VISIONOS, {true, 26, 0, 0}, NEEDS_OS_26, false},
	{PLATFORM_VISIONOS, {0}, NEEDS_SUPERVISION, true},
	{PLATFORM_TVOS, {0}, NEEDS_OTHER_PLATFORM, true},
	{PLATFORM_WATCHOS, {0}, NEEDS_OTHER_PLATFORM, true},
};

#define BIT(fact) (UINT32_C(1) << (fact))

/* The facts that a platform follows from. */
#define PLATFORM_BITS                                                                              \
	(BIT(FACT_PRODUCT_NAME) | BIT(FACT_MODEL) | BIT(FACT_MODEL_NAME) | BIT(FACT_OS_NAME))

/* Do the facts deny what the row needs? Which of them, or 0. */
static uint32_t denied_by(enum prerequisite needs, const struct facts *facts)
{
	switch (needs) {
	case NEEDS_MACOS_10_15:
	case NEEDS_OS_26:
		return BIT(FACT_OS_VERSION);
	case NEEDS_OTHER_PLATFORM:
		return PLATFORM_BITS;
	case NEEDS_DEP:
		return fact_false(facts, FACT_ENROLLED_VIA_DEP) ? BIT(FACT_ENROLLED_VIA_DEP) : 0;
	case NEEDS_APPROVAL_OR_SUPERVISION:
		if (fact_true(facts, FACT_SUPERVISED))
			return 0;
		/* fall through */
	case NEEDS_APPROVAL:
		if (fact_false(facts, FACT_USER_APPROVED_ENROLLMENT) &&
		    !fact_true(facts, FACT_ENROLLED_VIA_DEP))
			return BIT(FACT_USER_APPROVED_ENROLLMENT) | BIT(FACT_ENROLLED_VIA_DEP);
		return 0;
	case NEEDS_SUPERVISION:
		return fact_false(facts, FACT_SUPERVISED) ? BIT(FACT_SUPERVISED) : 0;
	default:
		return 0;
	}
}

struct prerequisites rules_prerequisites(const struct facts *facts, bool user_enrolled)
{
	enum platform platform = rules_platform(facts);
	struct os_version version = rules_version(fact_text(facts, FACT_OS_VERSION));
	enum prerequisite needs = PREREQUISITES_MET;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].platform != platform)
			continue;
		if (version.known
			    ? rows[i].before.known && version_compare(version, rows[i].before) >= 0
			    : !rows[i].unknown)
			continue;
		needs = rows[i].needs;
		break;
	}
	uint32_t denied = denied_by(needs, facts);
	/* not_supported comes before not_eligible, and user enrolment is never eligible. */
	if (denied && needs <= NEEDS_OTHER_PLATFORM)
		return (struct prerequisites){needs, denied};
	if (user_enrolled || fact_true(facts, FACT_USER_ENROLLMENT))
		return (struct prerequisites){NEEDS_DEVICE_ENROLLMENT, BIT(FACT_USER_ENROLLMENT)};
	if (denied)
		return (struct prerequisites){needs, denied};
	return (struct prerequisites){PREREQUISITES_MET, 0};
}

enum status rules_status(const struct standing *standing)
{
	if (standing->unenrolled)
		return STATUS_UNENROLLED;
	if (standing->escrowed)
		return standing->set_up_anew ? STATUS_STALE : STATUS_ESCROWED;
	if (standing->needs == PREREQUISITES_MET)
		return STATUS_NOT_ESCROWED;
	return standing->needs <= NEEDS_OTHER_PLATFORM ? STATUS_NOT_SUPPORTED : STATUS_NOT_ELIGIBLE;
}

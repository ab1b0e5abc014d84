#ifndef ESCROW_RULES_H
#define ESCROW_RULES_H

#include "facts.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which device may escrow, and which word stands in bootstrap_status: pure functions over a
 * device's facts. The prerequisites are Apple's: Bootstrap Token in "Use secure token, bootstrap
 * token, and volume ownership in deployments" (Apple Platform Deployment), and SetBootstrapToken
 * in the MDM schema. A fact that isn't known counts as allowing.
 */

enum platform {
	PLATFORM_MACOS,
	PLATFORM_IOS,
	PLATFORM_IPADOS,
	PLATFORM_VISIONOS,
	PLATFORM_TVOS,
	PLATFORM_WATCHOS,
	PLATFORM_COUNT
};

/* "macOS", "iPadOS" ... */
const char *platform_name(enum platform);

/*
 * Follows from ProductName, Model, ModelName and the system's name, in this order: the first that
 * says it. An unknown one counts as a Mac.
 */
enum platform rules_platform(const struct facts *);

/* 10.15.4 is {true, 10, 15, 4}. */
struct os_version {
	bool known;
	int major, minor, patch;
};

/*
 * 10.16 is 11, a missing part is 0, letters before and suffixes behind are ignored; what can't be
 * read, and NULL, is unknown.
 */
struct os_version rules_version(const char *text);

/* As of strcmp(3). Both known. */
int version_compare(struct os_version, struct os_version);

enum prerequisite {
	PREREQUISITES_MET,
	/* not_supported */
	NEEDS_MACOS_10_15,
	NEEDS_OS_26,
	NEEDS_OTHER_PLATFORM,
	/* not_eligible */
	NEEDS_DEVICE_ENROLLMENT, /* it is a user enrolment */
	NEEDS_DEP,
	NEEDS_APPROVAL,		       /* user approval, or DEP */
	NEEDS_APPROVAL_OR_SUPERVISION, /* the same from macOS 11 */
	NEEDS_SUPERVISION,
	PREREQUISITE_COUNT
};

/* What stands in the way, and which facts say so (bit 1 << fact_name each). */
struct prerequisites {
	enum prerequisite needs;
	uint32_t decided_by;
};

struct prerequisites rules_prerequisites(const struct facts *, bool user_enrolled);

/* All that the word depends on. */
struct standing {
	bool unenrolled; /* CheckOut, and no TokenUpdate or SetBootstrapToken since */
	bool escrowed;
	bool set_up_anew; /* since the token was escrowed */
	enum prerequisite needs;
};

enum status rules_status(const struct standing *);

#endif

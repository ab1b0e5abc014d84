#ifndef ESCROWFS_CENSUS_H
#define ESCROWFS_CENSUS_H

#include "facts.h"

#include <stdint.h>

/*
 * A count of the whole fleet: which systems its devices have, and how old their tokens are. Its size is
 * the same whatever the number of devices, and whatever versions they say they have.
 */

/* Since its token was escrowed, or last escrowed again. */
enum token_age {
	AGE_DAY,     /* less than a day */
	AGE_WEEK,    /* less than 7 days */
	AGE_MONTH,   /* 30 */
	AGE_QUARTER, /* 90 */
	AGE_YEAR,    /* 365 */
	AGE_OLDER,
	AGE_UNKNOWN, /* it came from another MDM, which didn't say */
	AGE_COUNT
};

/* How many days old a token is that is too old for this age; 0: there is no end. */
int age_days(enum token_age);

/* "macOS 15"; macOS 10 by its second number; "macOS ?" where the version isn't known. */
struct census_system {
	char name[16];
	uint64_t devices[STATUS_COUNT];
};

/* By system, each with its newest version first. */
#define CENSUS_SYSTEMS 512
struct census {
	struct census_system system[CENSUS_SYSTEMS];
	int systems;
	uint64_t tokens[AGE_COUNT][STATUS_COUNT]; /* of the devices that have one */
	uint64_t overdue;
};

/* A device that could have a token and has none is overdue when it has been enrolled for so long. */
#define OVERDUE_DAYS 14

#endif

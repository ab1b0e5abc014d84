#ifndef ESCROW_QUOTA_H
#define ESCROW_QUOTA_H

#include "error.h"

#include <stdint.h>

/*
 * How many tokens a mount gives out within an hour, whoever asks and by whichever file. Somebody's
 * rsync, or a thief, ends there. It counts by the minute, in a table of a fixed size, and of the
 * minute that an hour ago is in the middle of all: so within any hour it is never more than the
 * limit, and may be somewhat less. The clock is one that nobody can set.
 *
 * A pass is taken before a seal is opened, so that many at once don't get past the limit together;
 * one that wasn't used is given back.
 *
 * MUST: within an hour no more tokens leave than the limit. (test: never_more_within_an_hour)
 * MUST: what leaves by token and what leaves by checkin counts alike.
 *       (test: attack.bats, "a limit on retrievals")
 */
struct quota;

struct quota_pass {
	struct quota *quota; /* NULL: none, or it was used */
	int64_t minute;
};

/* `limit` 0: there is none, and all is counted all the same. */
enum error quota_new(uint32_t limit, struct quota **);
void quota_free(struct quota *); /* takes NULL */

/* ERR_QUOTA: as many as may went within the last hour; `udid` is for the sentence. */
enum error quota_take(struct quota *, const char *udid, struct quota_pass *);
/* What was taken for is done: the pass isn't given back any more. */
void quota_use(struct quota_pass *);
/* For SCOPED: gives back what wasn't used. */
void quota_give_back(struct quota_pass *);

struct quota_counts {
	uint32_t limit;	    /* 0: none */
	uint64_t last_hour; /* taken and not given back */
	uint64_t refused;   /* since the mount */
};
void quota_count(struct quota *, struct quota_counts *out);

/* ---- for tests: the minute is given ---- */

enum error quota_take_at(struct quota *, const char *udid, int64_t minute, struct quota_pass *);

#endif

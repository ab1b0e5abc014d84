#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include <stdint.h>
#include <stdio.h>

/*
 * How often something was refused for which reason. A reason is a sentence without the device that
 * it names, and whatever numbers are in it: "version 3" and "version 4" are one. So many are told
 * apart, whatever the number of refusals; the rest counts together.
 */
#define TALLY_MAX 24

struct tally {
	struct {
		int64_t count;
		char why[256];
	} reason[TALLY_MAX];
	int reasons;
	int64_t others;
};

/* `udid`: the device that the sentence is about; "" when it names none. */
void tally_add(struct tally *, const char *why, const char *udid);

/* A line a reason, the counts aligned. */
void tally_print(const struct tally *, FILE *);

#endif

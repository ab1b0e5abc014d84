/* A seal, then a commit of what a store writes of it; or an opening, then that (part.h). */
#include "limit.h"

#include "part.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct part *seal, *commit;
static bool escrows;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER; /* commits at a time */

int limit_prepare(char **what, int count, const char *security)
{
	(void)security;
	if (count < 3) {
		fprintf(stderr, "usage: limitfs N MOUNTPOINT DEVICE escrow|retrieval FILE KEY.pem "
				"CERTIFICATE.pem...\n");
		return -1;
	}
	escrows = strcmp(what[0], "escrow") == 0;
	if (part_new(escrows ? "seal" : "open", what + 2, count - 2, 1, &seal) == OK &&
	    part_new(what[0], what + 1, 1, 1, &commit) == OK)
		return 0;
	fprintf(stderr, "limitfs: %s\n", fail_why());
	return -1;
}

static bool both(void)
{
	if (part_do(seal))
		return false;
	pthread_mutex_lock(&one);
	bool done = part_do(commit) == OK;
	pthread_mutex_unlock(&one);
	return done;
}

bool limit_escrow(void)
{
	return !escrows || both();
}

bool limit_retrieval(void)
{
	return escrows || both();
}

void limit_free(void)
{
	part_free(seal);
	part_free(commit);
}

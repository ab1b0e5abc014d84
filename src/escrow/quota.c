#include "quota.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

/* An hour, and the minute that it began in. */
#define MINUTES 61

struct quota {
	pthread_mutex_t mutex;
	uint32_t limit;
	int64_t now;		  /* the newest minute that is in the table */
	uint64_t minute[MINUTES]; /* of minute m: [m % MINUTES] */
	uint64_t sum, refused;
};

enum error quota_new(uint32_t limit, struct quota **out)
{
	struct quota *quota = calloc(1, sizeof *quota);
	if (!quota)
		return fail(ERR_MEMORY, "out of memory");
	pthread_mutex_init(&quota->mutex, NULL);
	quota->limit = limit;
	*out = quota;
	return OK;
}

void quota_free(struct quota *quota)
{
	if (!quota)
		return;
	pthread_mutex_destroy(&quota->mutex);
	free(quota);
}

/* Also while the machine sleeps it goes on. */
static int64_t this_minute(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec / 60;
}

/* Forgets what is older than an hour. With the mutex. */
static void move_on(struct quota *quota, int64_t minute)
{
	for (int i = 0; i < MINUTES && quota->now < minute; i++) {
		uint64_t *oldest = &quota->minute[++quota->now % MINUTES];
		quota->sum -= *oldest;
		*oldest = 0;
	}
	if (quota->now < minute)
		quota->now = minute;
}

enum error quota_take_at(struct quota *quota, const char *udid, int64_t minute,
			 struct quota_pass *out)
{
	pthread_mutex_lock(&quota->mutex);
	move_on(quota, minute);
	bool refused = quota->limit && quota->sum >= quota->limit;
	if (refused) {
		quota->refused++;
	} else {
		*out = (struct quota_pass){.quota = quota, .minute = quota->now};
		quota->minute[quota->now % MINUTES]++;
		quota->sum++;
	}
	pthread_mutex_unlock(&quota->mutex);
	if (!refused)
		return OK;
	return fail(
		ERR_QUOTA,
		"device %s: not retrieved: this mount gives out no more than %" PRIu32
		" tokens an hour (max-retrievals), and they went; the trail says to whom. Wait, "
		"or mount again with a higher number",
		udid, quota->limit);
}

enum error quota_take(struct quota *quota, const char *udid, struct quota_pass *out)
{
	return quota_take_at(quota, udid, this_minute(), out);
}

void quota_use(struct quota_pass *pass)
{
	pass->quota = NULL;
}

void quota_give_back(struct quota_pass *pass)
{
	struct quota *quota = pass->quota;
	if (!quota)
		return;
	pass->quota = NULL;
	pthread_mutex_lock(&quota->mutex);
	/* What is older is forgotten already. */
	if (pass->minute > quota->now - MINUTES) {
		quota->minute[pass->minute % MINUTES]--;
		quota->sum--;
	}
	pthread_mutex_unlock(&quota->mutex);
}

void quota_count(struct quota *quota, struct quota_counts *out)
{
	pthread_mutex_lock(&quota->mutex);
	move_on(quota, this_minute());
	*out = (struct quota_counts){
		.limit = quota->limit, .last_hour = quota->sum, .refused = quota->refused};
	pthread_mutex_unlock(&quota->mutex);
}

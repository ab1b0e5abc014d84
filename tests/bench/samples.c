/* Times of many operations, and what is said of them. */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_ROOM 65536

int64_t samples_now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

int samples_add(struct samples *samples, int64_t took)
{
	if (samples->count == samples->room) {
		size_t room = samples->room ? 2 * samples->room : FIRST_ROOM;
		uint32_t *more = realloc(samples->took, room * sizeof *more);
		if (!more)
			return -1;
		samples->took = more;
		samples->room = room;
	}
	samples->took[samples->count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	return 0;
}

int samples_add_all(struct samples *samples, const struct samples *more)
{
	for (size_t i = 0; i < more->count; i++)
		if (samples_add(samples, more->took[i]))
			return -1;
	return 0;
}

void samples_free(struct samples *samples)
{
	free(samples->took);
	*samples = (struct samples){0};
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

void samples_print(struct samples *samples, double done, double seconds)
{
	size_t count = samples->count;
	uint32_t none = 0, *took = count ? samples->took : &none;
	qsort(took, count, sizeof *took, compare);
	printf("%.1f %u %u %zu\n", done / seconds, took[count / 2], took[count * 99 / 100], count);
}

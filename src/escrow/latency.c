#include "latency.h"

#include <inttypes.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

/* Upper bounds, included, as Prometheus has them. A commit to a disk takes some milliseconds. */
static const struct {
	int64_t ns;
	const char *seconds;
} bounds[LATENCY_BOUNDS] = {
	{500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},
	{10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
	{250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"},
	{10000000000, "10"},
};

int64_t latency_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

void latency_add(struct latency *latency, int64_t ns)
{
	int i = 0;
	while (i < LATENCY_BOUNDS && ns > bounds[i].ns)
		i++;
	atomic_fetch_add_explicit(&latency->count[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&latency->sum, ns > 0 ? (uint64_t)ns : 0, memory_order_relaxed);
}

void latency_note(struct latency *latency, int64_t began)
{
	latency_add(latency, latency_clock() - began);
}

/* Buckets hold all that is below them, too. Their sum is the count, so that both always agree. */
enum error latency_print(const struct latency *latency, const char *name, const char *help,
			 struct bytes *out)
{
	uint64_t count = 0, sum = atomic_load(&latency->sum);
	TRY(bytes_print(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name));
	for (int i = 0; i < LATENCY_BOUNDS; i++) {
		count += atomic_load(&latency->count[i]);
		TRY(bytes_print(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, bounds[i].seconds,
				count));
	}
	count += atomic_load(&latency->count[LATENCY_BOUNDS]);
	return bytes_print(out,
			   "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %" PRIu64 ".%09" PRIu64
			   "\n%s_count %" PRIu64 "\n",
			   name, count, name, sum / (uint64_t)SECOND, sum % (uint64_t)SECOND, name,
			   count);
}

/*
 * A count of the fleet. A version becomes a place in a table: each major version has one, macOS 10 one for
 * each of its minor versions. A device may say that it has any version: what is out of the ordinary shares
 * a place.
 */
#include "count.h"

#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY (INT64_C(86400) * 1000000000)

/* Places: not known; none of those below; macOS 10.0 to 10.15; a major version each. */
#define UNKNOWN 0
#define OTHER 1
#define TENS 2
#define TENS_END 16
#define MAJORS (TENS + TENS_END)
#define MAJORS_END 64
#define PLACES (MAJORS + MAJORS_END)
_Static_assert(PLATFORM_COUNT *PLACES <= CENSUS_SYSTEMS, "no room for all systems");

struct count {
	int64_t now;
	uint64_t devices[PLATFORM_COUNT][PLACES][STATUS_COUNT];
	uint64_t tokens[AGE_COUNT][STATUS_COUNT];
	uint64_t overdue;
};

/* ---- of one device ---- */

enum token_age census_age(int64_t escrowed_at, int64_t now)
{
	int age = AGE_DAY;
	if (escrowed_at <= TIME_UNKNOWN_END)
		return AGE_UNKNOWN;
	while (age < AGE_OLDER && now - escrowed_at >= age_days((enum token_age)age) * DAY)
		age++;
	return (enum token_age)age;
}

bool census_is_overdue(const struct device *device, int64_t now)
{
	int64_t since = device->enrolled_at > device->reenrolled_at ? device->enrolled_at
								    : device->reenrolled_at;
	if (since <= TIME_UNKNOWN_END)
		since = device->created_at;
	return device->status == STATUS_NOT_ESCROWED && now - since > OVERDUE_DAYS * DAY;
}

static int place_of(enum platform platform, struct os_version version)
{
	if (!version.known)
		return UNKNOWN;
	if (platform == PLATFORM_MACOS && version.major == 10)
		return version.minor < TENS_END ? TENS + version.minor : OTHER;
	return version.major < MAJORS_END ? MAJORS + version.major : OTHER;
}

static void name_place(enum platform platform, int place, char *out, size_t size)
{
	const char *name = platform_name(platform);
	if (place >= MAJORS)
		snprintf(out, size, "%s %d", name, place - MAJORS);
	else if (place >= TENS)
		snprintf(out, size, "%s 10.%d", name, place - TENS);
	else
		snprintf(out, size, "%s %s", name, place == OTHER ? "other" : "?");
}

/* ---- of all ---- */

enum error count_new(int64_t now, struct count **out)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return fail(ERR_MEMORY, "out of memory");
	(*out)->now = now;
	return OK;
}

void count_free(struct count *count)
{
	free(count);
}

void count_add(void *context, const struct device *device, const struct facts *facts)
{
	struct count *count = context;
	enum platform platform = rules_platform(facts);
	struct os_version version = rules_version(fact_text(facts, FACT_OS_VERSION));
	count->devices[platform][place_of(platform, version)][device->status]++;
	if (device->token_size)
		count->tokens[census_age(device->escrowed_at, count->now)][device->status]++;
	if (census_is_overdue(device, count->now))
		count->overdue++;
}

static bool is_empty(const uint64_t devices[static STATUS_COUNT])
{
	uint64_t all = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		all += devices[i];
	return all == 0;
}

void count_finish(const struct count *count, struct census *out)
{
	*out = (struct census){.overdue = count->overdue};
	memcpy(out->tokens, count->tokens, sizeof out->tokens);
	for (int platform = 0; platform < PLATFORM_COUNT; platform++)
		for (int place = PLACES - 1; place >= 0; place--) {
			const uint64_t *devices = count->devices[platform][place];
			if (is_empty(devices))
				continue;
			struct census_system *system = &out->system[out->systems++];
			name_place((enum platform)platform, place, system->name,
				   sizeof system->name);
			memcpy(system->devices, devices, sizeof system->devices);
		}
}

static void count_scoped(struct count **count)
{
	count_free(*count);
}

enum error census_take(struct tx *tx, int64_t now, struct census *out)
{
	SCOPED(count_scoped) struct count *count = NULL;
	TRY(count_new(now, &count));
	TRY(store_census(tx, count_add, count));
	count_finish(count, out);
	return OK;
}

/* Versions out of the store, in a list that grows. */
#include "inside.h"

#include <stdlib.h>

bool versions_gather(void *context, const struct version *version, const char *udid)
{
	struct versions *versions = context;
	(void)udid;
	if (versions->count == versions->cap) {
		int cap = versions->cap ? 2 * versions->cap : 4;
		struct version *more = realloc(versions->list, (size_t)cap * sizeof *more);
		versions->failed = !more;
		if (!more)
			return false;
		versions->list = more;
		versions->cap = cap;
	}
	versions->list[versions->count++] = *version;
	return true;
}

enum error versions_whole(const struct versions *versions)
{
	return versions->failed ? fail(ERR_MEMORY, "out of memory") : OK;
}

void versions_free(struct versions *versions)
{
	free(versions->list);
	*versions = (struct versions){0};
}

struct seeking {
	const uint8_t *mac;
	bool found;
};

static bool seek(void *context, const struct version *version, const char *udid, bool removed)
{
	struct seeking *seeking = context;
	(void)udid;
	(void)removed;
	seeking->found = version->verified && seal_equal(version->mac, seeking->mac, STORE_DIGEST);
	return !seeking->found;
}

enum error versions_have(struct tx *tx, const char *udid, const uint8_t mac[static STORE_DIGEST],
			 bool *have)
{
	struct seeking seeking = {.mac = mac};
	enum error found = store_versions_named(tx, udid, seek, &seeking);
	*have = seeking.found;
	return found == ERR_NOT_FOUND ? OK : found;
}

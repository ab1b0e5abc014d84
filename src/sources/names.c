#include "sources/names.h"

#include <stdlib.h>
#include <string.h>

enum error names_add(struct names *names, const char *name)
{
	if (names->count == names->cap) {
		size_t cap = names->cap ? 2 * names->cap : 16;
		char **more = realloc(names->name, cap * sizeof *more);
		if (!more)
			return fail(ERR_MEMORY, "out of memory");
		names->name = more;
		names->cap = cap;
	}
	names->name[names->count] = strdup(name);
	if (!names->name[names->count])
		return fail(ERR_MEMORY, "out of memory");
	names->count++;
	return OK;
}

struct order {
	int (*compare)(const char *, const char *);
};

static int by_order(const void *a, const void *b, void *context)
{
	const struct order *order = context;
	return order->compare(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names, int (*compare)(const char *, const char *))
{
	struct order order = {compare};
	if (names->count)
		qsort_r(names->name, names->count, sizeof *names->name, by_order, &order);
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
	*names = (struct names){0};
}

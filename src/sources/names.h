#ifndef SOURCES_NAMES_H
#define SOURCES_NAMES_H

#include "error.h"

#include <stddef.h>

/* The names in a directory, to be read in their order. From zeros; freed with names_free(). */
struct names {
	char **name;
	size_t count, cap;
};

/* One more, copied. ERR_MEMORY. */
enum error names_add(struct names *, const char *name);
/* Sorts them: `compare` as strcmp(3). */
void names_sort(struct names *, int (*compare)(const char *, const char *));
void names_free(struct names *);

#endif

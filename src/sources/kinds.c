#include "sources/kinds.h"

/* In the order in which they are asked. */
static const struct source_kind *const kinds[] = {
	&source_tree, &source_nanomdm, &source_nanomdm_kv, &source_csv, &source_stream, NULL,
};

const struct source_kind *kind_of_directory(const char *path)
{
	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->tells_directory && kinds[i]->tells_directory(path))
			return kinds[i];
	return NULL;
}

const struct source_kind *kind_of_file(const uint8_t *head, size_t len)
{
	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->tells_file && kinds[i]->tells_file(head, len))
			return kinds[i];
	return &source_stream;
}

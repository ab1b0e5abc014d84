#include "content.h"

#include <stdlib.h>
#include <string.h>

enum error content_new(const void *text, size_t len, struct content **out)
{
	struct content *content = malloc(sizeof *content + len);
	if (!content)
		return fail(ERR_MEMORY, "out of memory");
	atomic_init(&content->users, 1);
	content->len = len;
	if (len)
		memcpy(content->data, text, len);
	*out = content;
	return OK;
}

enum error content_take(struct bytes *text, struct content **out)
{
	enum error result = content_new(text->data, text->len, out);
	bytes_free(text);
	return result;
}

struct content *content_hold(struct content *content)
{
	atomic_fetch_add(&content->users, 1);
	return content;
}

void content_drop(struct content *content)
{
	if (content && atomic_fetch_sub(&content->users, 1) == 1)
		free(content);
}

void content_scoped(struct content **content)
{
	content_drop(*content);
}

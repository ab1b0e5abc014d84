#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[512];

enum error fail(enum error code, const char *format, ...)
{
	/* The new sentence may quote the old one. */
	char fresh[sizeof sentence];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fresh, sizeof fresh, format, arguments);
	va_end(arguments);
	snprintf(sentence, sizeof sentence, "%s", fresh);
	return code;
}

const char *fail_why(void)
{
	return sentence;
}

static const char *find(const char *value)
{
	size_t len = strlen(value);
	for (const char *at = sentence; len && (at = strstr(at, value)); at++)
		if ((at == sentence || at[-1] == ' ') && (!at[len] || strchr(" :,;)", at[len])))
			return at;
	return NULL;
}

bool fail_has(const char *value)
{
	return find(value) != NULL;
}

enum error fail_named(enum error code, const char *option, const char *value)
{
	if (!code)
		return OK;
	const char *at = find(value);
	return at ? fail(code, "%.*s%s%s", (int)(at - sentence), sentence, option, at)
		  : fail(code, "%.*s: %s", (int)strcspn(option, "= "), option, sentence);
}

const char *error_name(enum error code)
{
	static const char *const names[ERR_COUNT] = {
		[OK] = "ok",
		[ERR_INVALID] = "EINVAL",
		[ERR_FORBIDDEN] = "EPERM",
		[ERR_TOO_BIG] = "EFBIG",
		[ERR_NO_KEY] = "ENOKEY",
		[ERR_BAD_SEAL] = "EBADMSG",
		[ERR_NO_SPACE] = "ENOSPC",
		[ERR_READ_ONLY] = "EROFS",
		[ERR_IO] = "EIO",
		[ERR_MEMORY] = "ENOMEM",
		[ERR_NOT_FOUND] = "ENOENT",
		[ERR_EXISTS] = "EEXIST",
		[ERR_NOT_EMPTY] = "ENOTEMPTY",
		[ERR_GONE] = "ESTALE",
		[ERR_BUSY] = "EBUSY",
		[ERR_ACCESS] = "EACCES",
		[ERR_QUOTA] = "EDQUOT",
		[ERR_UNPINNED] = "EKEYREJECTED",
		[ERR_CHANGED] = "EAGAIN",
	};
	return names[code];
}

#include "error.h"

#include <stdarg.h>
#include <stdio.h>

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

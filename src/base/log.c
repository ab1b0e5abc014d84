#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

/* syslog(3)'s own names clash with none of ours: the levels' numbers are the same by design. */

static int to_syslog;

void log_to_syslog(void)
{
	openlog("escrowfs", LOG_PID, LOG_DAEMON);
	to_syslog = 1;
}

void log_say(enum log_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (to_syslog) {
		vsyslog((int)level, format, arguments);
	} else {
		char line[1024];
		vsnprintf(line, sizeof line, format, arguments);
		if (getenv("JOURNAL_STREAM"))
			fprintf(stderr, "<%d>%s\n", (int)level, line);
		else
			fprintf(stderr, "escrowfs: %s\n", line);
	}
	va_end(arguments);
}

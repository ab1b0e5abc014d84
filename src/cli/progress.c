/* How far long work is. */
#include "progress.h"

#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define ON_TERMINAL (SECOND / 5)
#define ELSEWHERE (60 * SECOND)

/* "29 s", "3 min 20 s", "2 h 15 min": two units at the most. */
static void duration_text(int64_t seconds, char *out, size_t size)
{
	if (seconds < 60)
		snprintf(out, size, "%" PRId64 " s", seconds);
	else if (seconds < 3600)
		snprintf(out, size, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
	else
		snprintf(out, size, "%" PRId64 " h %" PRId64 " min", seconds / 3600,
			 seconds / 60 % 60);
}

void progress_text(const char *what, int64_t done, int64_t total, int64_t elapsed, char *out,
		   size_t size)
{
	char left[64] = "";
	double rate = elapsed > 0 ? (double)done * (double)SECOND / (double)elapsed : 0;
	if (total > 0 && rate > 0 && done < total) {
		char duration[48];
		duration_text((int64_t)((double)(total - done) / rate + 0.5), duration,
			      sizeof duration);
		snprintf(left, sizeof left, ", %s left", duration);
	}
	/* What takes seconds each has a rate, too. */
	int places = rate < 10 ? 1 : 0;
	if (total > 0)
		snprintf(out, size, "%s: %" PRId64 " of %" PRId64 ", %.*f/s%s", what, done, total,
			 places, rate, left);
	else
		snprintf(out, size, "%s: %" PRId64 ", %.*f/s", what, done, places, rate);
}

/* A dumb terminal shows what should wipe a line. */
static bool can_wipe(int fd)
{
	const char *kind = getenv("TERM");
	return isatty(fd) == 1 && kind && *kind && strcmp(kind, "dumb") != 0;
}

void progress_begin(struct progress *progress, const char *what, int64_t total)
{
	int64_t now = time_now();
	*progress = (struct progress){.what = what,
				      .total = total,
				      .out = stderr,
				      .terminal = can_wipe(STDERR_FILENO),
				      .began_at = now,
				      .shown_at = now};
}

void progress_show_at(struct progress *progress, int64_t done, int64_t now)
{
	char text[160];
	if (now - progress->shown_at < (progress->terminal ? ON_TERMINAL : ELSEWHERE))
		return;
	progress_text(progress->what, done, progress->total, now - progress->began_at, text,
		      sizeof text);
	if (progress->terminal)
		fprintf(progress->out, "\r%s\033[K", text);
	else
		fprintf(progress->out, "escrowfs: %s\n", text);
	fflush(progress->out);
	progress->showing = progress->terminal;
	progress->shown_at = now;
}

void progress_show(struct progress *progress, int64_t done)
{
	progress_show_at(progress, done, time_now());
}

void progress_wipe(struct progress *progress)
{
	if (progress->showing)
		fputs("\r\033[K", progress->out);
	progress->showing = false;
}

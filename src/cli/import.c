/*
 * escrowfs import: messages out of files, directories and pipes, each as /checkin would take
 * it. What is refused is named, and the rest goes on.
 */
#include "cli.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_EVERY INT64_C(200000000) /* ns */

static volatile sig_atomic_t stop;

struct import {
	struct escrow *escrow;
	struct actor actor;
	int64_t results[IMPORT_RESULTS];
	int64_t files, unread; /* unread: files that gave no message at all */
	bool terminal;
	int64_t shown_at;
};

/* ---- what the operator sees ---- */

static int64_t count_all(const struct import *import)
{
	int64_t all = 0;
	for (int i = 0; i < IMPORT_RESULTS; i++)
		all += import->results[i];
	return all;
}

static void clear_progress(struct import *import)
{
	if (import->shown_at)
		fputs("\r\033[K", stderr);
	import->shown_at = 0;
}

static void show_progress(struct import *import)
{
	int64_t now = time_now();
	if (!import->terminal || now - import->shown_at < PROGRESS_EVERY)
		return;
	fprintf(stderr, "\r%" PRId64 " messages", count_all(import));
	import->shown_at = now;
}

static void say_refused(struct import *import, const char *name, int64_t number)
{
	clear_progress(import);
	if (number)
		fprintf(stderr, "escrowfs: %s, message %" PRId64 ": %s\n", name, number,
			fail_why());
	else
		fprintf(stderr, "escrowfs: %s: %s\n", name, fail_why());
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_summary(const struct import *import, const struct escrow_status *before,
			  const struct escrow_status *after)
{
	uint64_t was = 0, is = 0;
	for (int i = 0; i < STATUS_COUNT; i++) {
		was += before->devices[i];
		is += after->devices[i];
	}
	int64_t messages = count_all(import);
	printf("%" PRId64 " message%s from %" PRId64 " file%s: %" PRId64 " took effect, %" PRId64
	       " changed nothing, %" PRId64 " refused.\n",
	       messages, plural((uint64_t)messages), import->files, plural((uint64_t)import->files),
	       import->results[IMPORT_DONE], import->results[IMPORT_NOTHING],
	       import->results[IMPORT_REFUSED]);
	if (import->unread)
		printf("%" PRId64 " source%s not read.\n", import->unread,
		       import->unread == 1 ? " was" : "s were");
	printf("The store has %" PRIu64 " device%s", is, plural(is));
	if (is > was)
		printf(" (%" PRIu64 " new)", is - was);
	printf(", %" PRIu64 " of them escrowed.\n", after->devices[STATUS_ESCROWED]);
	if (stop)
		printf("Stopped before the end: run it again, what is in already does no harm.\n");
}

/* ---- one source ---- */

/* Faults that the next message would have, too. */
static bool is_fatal(enum error error)
{
	return error == ERR_IO || error == ERR_NO_SPACE || error == ERR_READ_ONLY;
}

static enum error import_stream(struct import *import, int fd, const char *name)
{
	SCOPED(messages_free) struct messages messages = {0};
	TRY(messages_new(fd, &stop, &messages));
	import->files++;
	for (int64_t number = 1; !stop; number++) {
		const uint8_t *text;
		size_t len;
		enum error error = messages_next(&messages, &text, &len);
		if (!error && !len) {
			/* A pipe may have nothing to say today. */
			if (number > 1 || stop || fd == STDIN_FILENO)
				return OK;
			import->unread++;
			fail(ERR_INVALID, "it is empty");
			say_refused(import, name, 0);
			return OK;
		}
		if (error) {
			import->unread++;
			say_refused(import, name, number > 1 ? number : 0);
			return OK;
		}
		enum import_result result = IMPORT_REFUSED;
		error = escrow_import(import->escrow, &import->actor, text, len, &result);
		if (is_fatal(error))
			return error;
		if (error)
			say_refused(import, name,
				    number > 1 || !messages_over(&messages) ? number : 0);
		import->results[error ? IMPORT_REFUSED : result]++;
		show_progress(import);
	}
	return OK;
}

static void leave_out(struct import *import, const char *name, const char *why)
{
	fail(ERR_INVALID, "%s", why);
	import->unread++;
	say_refused(import, name, 0);
}

static enum error import_file(struct import *import, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		leave_out(import, path, strerror(errno));
		return OK;
	}
	enum error result = import_stream(import, fd, path);
	close(fd);
	return result;
}

/* ---- what is in a source ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/*
 * Links inside a directory aren't followed: they may lead anywhere. Hidden files are no
 * messages.
 */
static enum error import_entry(struct import *import, FTS *walk, FTSENT *entry)
{
	bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
	switch (entry->fts_info) {
	case FTS_D:
		if (hidden)
			fts_set(walk, entry, FTS_SKIP);
		return OK;
	case FTS_DP:
		return OK;
	case FTS_F:
		return hidden ? OK : import_file(import, entry->fts_path);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		leave_out(import, entry->fts_path, strerror(entry->fts_errno));
		return OK;
	case FTS_SLNONE:
		leave_out(import, entry->fts_path, "a symbolic link to nothing");
		return OK;
	case FTS_SL:
		leave_out(import, entry->fts_path, "a symbolic link; it isn't followed");
		return OK;
	default:
		/* A pipe that was named is a source; one that lies about may never end. */
		if (entry->fts_level == 0)
			return import_file(import, entry->fts_path);
		leave_out(import, entry->fts_path, "it is no regular file");
		return OK;
	}
}

static enum error import_source(struct import *import, char *source)
{
	if (strcmp(source, "-") == 0)
		return import_stream(import, STDIN_FILENO, "standard input");
	char *const roots[] = {source, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
	if (!walk)
		return fail(ERR_MEMORY, "%s: %s", source, strerror(errno));
	enum error result = OK;
	FTSENT *entry;
	while (!stop && !result && (entry = fts_read(walk)))
		result = import_entry(import, walk, entry);
	fts_close(walk);
	return result;
}

/* ---- the whole ---- */

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* The message at hand is finished; a second ^C doesn't wait. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static enum error import_all(const struct store_arguments *arguments, struct import *import)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct escrow_status before, after;
	TRY(cli_open(arguments, &escrow));
	TRY(escrow_status(escrow, &before));
	import->escrow = escrow;
	catch_signals();
	enum error result = OK;
	for (int i = 0; i < arguments->rest_count && !stop && !result; i++)
		result = import_source(import, arguments->rest[i]);
	clear_progress(import);
	TRY(result);
	TRY(escrow_status(escrow, &after));
	print_summary(import, &before, &after);
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_import, argc, argv, 1, INT32_MAX, &arguments);
	if (status >= 0)
		return status;
	struct import import = {.terminal = isatty(STDERR_FILENO) == 1};
	cli_actor(&import.actor);
	arguments.no_key = true;
	if (import_all(&arguments, &import))
		return cli_failed();
	return stop || import.unread || import.results[IMPORT_REFUSED] ? EXIT_FAILURE
								       : EXIT_SUCCESS;
}

const struct command cli_import = {
	.name = "import",
	.arguments = "STORE SOURCE...",
	.summary = "takes in messages: files, directories of them, or - for a stream",
	.help = cli_store_help,
	.run = run,
};

/*
 * escrowfs import: what other MDMs and backups kept goes into a store. What is refused is named, and
 * the rest goes on.
 */
#include "cli.h"
#include "sources.h"
#include "tally.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define PROGRESS_EVERY (SECOND / 5)

/*
 * Two batches of what may hold tokens lie in secure memory, and what each processor makes of them.
 */
#define IMPORT_HEAP (32 * 1024 * 1024)

static volatile sig_atomic_t stop;

struct import {
	struct intake_counts counts;
	struct tally refused;
	bool terminal;
	int64_t began_at, shown_at;
};

/* ---- what the operator sees meanwhile ---- */

static void clear_progress(struct import *import)
{
	if (import->shown_at)
		fputs("\r\033[K", stderr);
	import->shown_at = 0;
}

static void show_progress(void *context, const struct intake_counts *counts)
{
	struct import *import = context;
	int64_t now = time_now(), took = now - import->began_at;
	if (!import->terminal || now - import->shown_at < PROGRESS_EVERY)
		return;
	fprintf(stderr, "\r\033[K%" PRId64 " taken in", counts->units);
	if (took > SECOND)
		fprintf(stderr, ", %.0f a second", (double)counts->units * 1e9 / (double)took);
	import->shown_at = now;
}

static void say_refused(void *context, const struct refused *refused)
{
	struct import *import = context;
	clear_progress(import);
	if (refused->number)
		fprintf(stderr, "escrowfs: %s, %s %" PRId64 ": %s\n", refused->file, refused->item,
			refused->number, refused->why);
	else
		fprintf(stderr, "escrowfs: %s: %s\n", refused->file, refused->why);
	tally_add(&import->refused, refused->why, refused->udid);
}

/* ---- and at the end ---- */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_row(const char *what, int64_t count)
{
	printf("  %-18s %9" PRId64 "\n", what, count);
}

static void print_table(const struct import *import, bool dry_run)
{
	const struct intake_counts *counts = &import->counts;
	printf("%" PRId64 " record%s from %" PRId64 " source%s", counts->units,
	       plural((uint64_t)counts->units), counts->files, plural((uint64_t)counts->files));
	/* A rehearsal can't tell: what came before isn't there. */
	if (dry_run)
		printf(":\n");
	else
		printf(": %" PRId64 " took effect, %" PRId64 " changed nothing, %" PRId64
		       " refused.\n",
		       counts->effect, counts->nothing, counts->refused);
	print_row("devices new", counts->devices_new);
	print_row("tokens new", counts->tokens_new);
	print_row("tokens the same", counts->tokens_same);
	if (counts->tokens_unverified)
		print_row("tokens unverified", counts->tokens_unverified);
	print_row("refused", counts->refused);
	if (counts->unread)
		print_row("not read", counts->unread);
	if (counts->refused || counts->unread) {
		printf("Refused or not read, by reason:\n");
		tally_print(&import->refused, stdout);
	}
	if (counts->tokens_unverified)
		printf("Unverified: %" PRId64
		       ". No key here opens them: they are kept as they are, "
		       "and aren't given out.\nImport again with --key and the private key that "
		       "does.\n",
		       counts->tokens_unverified);
}

static void print_store(const struct escrow_status *status)
{
	uint64_t devices = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		devices += status->devices[i];
	printf("The store has %" PRIu64 " device%s, %" PRIu64 " of them escrowed.\n", devices,
	       plural(devices), status->devices[STATUS_ESCROWED]);
	if (stop)
		printf("Stopped before the end: run it again, what is in already does no harm.\n");
}

/* ---- the whole ---- */

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* What was read goes in; a second ^C doesn't wait. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void intake_scoped(struct intake **intake)
{
	intake_free(*intake);
}

static enum error take_in(const struct store_arguments *arguments, struct escrow *escrow,
			  struct import *import)
{
	SCOPED(intake_scoped) struct intake *intake = NULL;
	struct actor actor;
	struct intake_watch watch = {
		.refused = say_refused, .progress = show_progress, .context = import};
	cli_actor(&actor);
	TRY(intake_new(escrow, &actor, &watch, &stop, &intake));
	catch_signals();
	import->began_at = time_now();
	enum error result = OK;
	for (int i = 0; i < arguments->rest_count && !stop && !result; i++)
		result = intake_source(intake, arguments->rest[i]);
	enum error end = intake_end(intake, &import->counts);
	clear_progress(import);
	return result ? result : end;
}

static enum error import_all(const struct store_arguments *arguments, struct import *import)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct escrow_status status;
	TRY(cli_open(arguments, &escrow));
	TRY(take_in(arguments, escrow, import));
	TRY(escrow_status(escrow, &status));
	if (arguments->dry_run)
		printf("Dry run: nothing was written. This would come of it:\n");
	print_table(import, arguments->dry_run);
	print_store(&status);
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_import, argc, argv, 1, INT32_MAX, &arguments);
	if (status >= 0)
		return status;
	struct import import = {.terminal = isatty(STDERR_FILENO) == 1};
	arguments.any_key = true;
	arguments.heap = IMPORT_HEAP;
	if (import_all(&arguments, &import))
		return cli_failed();
	return stop || import.counts.unread || import.counts.refused ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command cli_import = {
	.name = "import",
	.arguments = "[--dry-run] STORE SOURCE...",
	.summary = "takes in what other MDMs and backups kept",
	.help = "  --dry-run               show what would come of it, write nothing\n"
		"  --key URI               the private key that opens a backup's tokens, when it\n"
		"                          isn't the store's own\n"
		"  --passphrase-file FILE  the key's passphrase is the first line of FILE\n"
		"\n"
		"SOURCE is a file, a directory, or - for standard input: a sealed tree that a\n"
		"backup brought back, NanoMDM's file store, CSV (udid,serial,token), property\n"
		"lists, a webhook's JSON lines. It is told by its content. The same can be taken "
		"in\n"
		"again; nothing newer is overwritten.\n",
	.rehearses = true,
	.run = run,
};

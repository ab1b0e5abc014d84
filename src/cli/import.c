/*
 * escrowfs import: what other MDMs and backups kept goes into a store. What is refused is named, and
 * the rest goes on.
 */
#include "cli.h"
#include "progress.h"
#include "sources.h"
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Two batches of what may hold tokens lie in secure memory, and what each processor makes of them.
 */
#define IMPORT_HEAP (32 * 1024 * 1024)

struct import {
	struct intake_counts counts;
	struct tally refused;
	struct progress progress;
	bool unfinished;
};

/* ---- what the operator sees meanwhile ---- */

static void show_progress(void *context, const struct intake_counts *counts)
{
	struct import *import = context;
	progress_show(&import->progress, counts->units);
}

static void say_refused(void *context, const struct refused *refused)
{
	struct import *import = context;
	progress_wipe(&import->progress);
	if (refused->number)
		cli_say("%s, %s %" PRId64 ": %s", refused->file, refused->item, refused->number,
			refused->why);
	else
		cli_say("%s: %s", refused->file, refused->why);
	tally_add(&import->refused, refused->why, refused->udid);
}

/* ---- and at the end ---- */

static void print_row(const char *what, int64_t count)
{
	printf("  %-18s %9" PRId64 "\n", what, count);
}

/* `unverified`: in all of the store, so that whoever named the wrong key sees that it was wrong. */
static void print_table(const struct import *import, bool dry_run, int64_t unverified)
{
	const struct intake_counts *counts = &import->counts;
	printf("%" PRId64 " record%s from %" PRId64 " source%s", counts->units,
	       cli_plural(counts->units), counts->files, cli_plural(counts->files));
	/* A rehearsal can't tell: what came before isn't there. */
	if (dry_run)
		printf(":\n");
	else
		printf(": %" PRId64 " took effect, %" PRId64 " changed nothing, %" PRId64
		       " refused.\n",
		       counts->effect, counts->nothing, counts->refused);
	print_row("devices new", counts->devices_new);
	print_row("tokens new", counts->tokens_new);
	if (counts->tokens_past)
		print_row("  of them, old", counts->tokens_past);
	print_row("tokens the same", counts->tokens_same);
	if (counts->tokens_ended)
		print_row("tokens ended", counts->tokens_ended);
	if (unverified)
		print_row("tokens unverified", unverified);
	print_row("refused", counts->refused);
	if (counts->unread)
		print_row("not read", counts->unread);
	if (counts->refused || counts->unread) {
		printf("Refused or not read, by reason:\n");
		tally_print(&import->refused, stdout);
	}
	if (unverified)
		printf("Unverified: %" PRId64
		       ". No key here opens them: they are kept as they are, "
		       "and aren't given out.\nImport again with --key and the private key that "
		       "does.\n",
		       unverified);
}

static void print_store(const struct import *import, const struct escrow_status *status)
{
	uint64_t devices = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		devices += status->devices[i];
	printf("The store has %" PRIu64 " device%s, %" PRIu64 " of them escrowed.\n", devices,
	       cli_plural((int64_t)devices), status->devices[STATUS_ESCROWED]);
	if (import->unfinished)
		printf("Stopped before the end: run it again, what is in already does no harm.\n");
}

/* ---- the whole ---- */

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
	TRY(intake_new(escrow, &actor, &watch, &cli_stop, &intake));
	cli_catch_signals();
	progress_begin(&import->progress, "taken in", 0);
	enum error result = OK;
	for (int i = 0; i < arguments->rest_count && !cli_stop && !result; i++)
		result = intake_source(intake, arguments->rest[i]);
	enum error end = intake_end(intake, &import->counts);
	progress_wipe(&import->progress);
	return result ? result : end;
}

/* Which comes first is easily forgotten. */
static bool is_swapped(const struct store_arguments *arguments)
{
	return !store_is_at(arguments->store) &&
	       store_is_at(arguments->rest[arguments->rest_count - 1]);
}

static enum error open_store(const struct store_arguments *arguments, struct escrow **escrow)
{
	enum error result = cli_open(arguments, escrow);
	if (!result || !is_swapped(arguments))
		return result;
	char why[512];
	snprintf(why, sizeof why, "%s", fail_why());
	return fail(result, "%s; STORE comes first, then SOURCE", why);
}

static enum error import_all(const struct store_arguments *arguments, struct import *import)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct escrow_status status;
	TRY(open_store(arguments, &escrow));
	enum error result = take_in(arguments, escrow, import);
	char why[512] = "";
	if (result)
		snprintf(why, sizeof why, "%s", fail_why());
	import->unfinished = result || cli_stop;
	/* What is in is said in any case. */
	TRY(escrow_status(escrow, &status));
	if (arguments->dry_run)
		printf("Dry run: nothing was written. This would come of it:\n");
	print_table(import, arguments->dry_run,
		    arguments->dry_run ? import->counts.tokens_unverified
				       : (int64_t)status.unverified);
	print_store(import, &status);
	return result ? fail(result, "%s", why) : OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_import, argc, argv, 1, INT32_MAX, &arguments);
	if (status >= 0)
		return status;
	struct import import = {0};
	arguments.any_key = true;
	arguments.heap = IMPORT_HEAP;
	if (import_all(&arguments, &import))
		return cli_failed();
	return cli_stop || import.counts.unread || import.counts.refused ? EXIT_FAILURE
									 : EXIT_SUCCESS;
}

const struct command cli_import = {
	.name = "import",
	.arguments = "[--dry-run] [--recipients FILE] [--key URI] [--passphrase-file FILE] STORE "
		     "SOURCE...",
	.summary = "takes in what other MDMs and backups kept",
	.help = "  --dry-run               show what would come of it, write nothing\n"
		"  --recipients FILE       refuse to seal to others than those in FILE, in PEM\n"
		"  --key URI               the private key that opens a backup's tokens, when it\n"
		"                          isn't the store's own\n"
		"  --passphrase-file FILE  the key's passphrase is the first line of FILE\n"
		"\n"
		"SOURCE is a file, a directory, or - for standard input: a sealed tree that a\n"
		"backup brought back, NanoMDM's files, CSV (udid,serial,token), property\n"
		"lists, a webhook's JSON lines. It is told by its content. The same can be taken "
		"in\n"
		"again; nothing newer is overwritten.\n",
	.takes = TAKES_KEY | TAKES_RECIPIENTS | TAKES_DRY_RUN,
	.run = run,
};

/* escrowfs verify: what the escrow finds wrong with a store, and a summary. */
#include "cli.h"
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_finding(void *context, const char *sentence)
{
	progress_wipe(context);
	cli_print("%s", sentence);
}

static void show(void *context, int64_t done)
{
	progress_show(context, done);
}

static void print_summary(const struct escrow_verified *verified, bool has_key)
{
	printf("%" PRId64 " line%s of the trail, %" PRId64 " version%s, %" PRId64
	       " seal%s opened: ",
	       verified->lines, verified->lines == 1 ? "" : "s", verified->versions,
	       verified->versions == 1 ? "" : "s", verified->opened,
	       verified->opened == 1 ? "" : "s");
	if (verified->findings)
		printf("%" PRId64 " finding%s.\n", verified->findings,
		       verified->findings == 1 ? "" : "s");
	else
		printf("nothing is wrong.\n");
	if (!verified->unopened)
		return;
	printf("%" PRId64 " seal%s not opened: %s.\n", verified->unopened,
	       verified->unopened == 1 ? " was" : "s were",
	       has_key ? "sealed to other keys than this one"
		       : "there is no private key here; name one with --key");
}

static enum error verify(const struct store_arguments *arguments, struct escrow_verified *out)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	TRY(cli_open(arguments, &escrow));
	struct progress progress;
	progress_begin(&progress, "lines and versions", 0);
	enum error result = escrow_verify(escrow,
					  &(struct escrow_verifying){.finding = print_finding,
								     .progress = show,
								     .context = &progress},
					  out);
	progress_wipe(&progress);
	TRY(result);
	print_summary(out, escrow_has_key(escrow));
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	struct escrow_verified verified;
	int status = cli_store_arguments(&cli_verify, argc, argv, 0, 0, &arguments);
	if (status >= 0)
		return status;
	if (verify(&arguments, &verified))
		return cli_failed();
	return verified.findings ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command cli_verify = {
	.name = "verify",
	.arguments = "[--key URI] [--passphrase-file FILE] STORE",
	.summary = "checks the trail's chain, every seal and the database",
	.help = cli_store_help,
	.run = run,
};

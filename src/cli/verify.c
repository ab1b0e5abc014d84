/* escrowfs verify: what the escrow finds wrong with a store, and a summary. */
#include "cli.h"
#include "progress.h"

#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		printf("nothing is wrong%s.\n",
		       verified->unopened ? " with what was looked at" : "");
	if (!verified->unopened)
		return;
	printf("%" PRId64 " seal%s not opened: %s.\n", verified->unopened,
	       verified->unopened == 1 ? " was" : "s were",
	       has_key ? "sealed to other keys than this one"
		       : "there is no private key here; name one with --key");
}

/* "4711:9f86d0...", as `status` prints it. */
static bool read_checkpoint(const char *text, struct escrow_checkpoint *out)
{
	char *end;
	errno = 0;
	long long seq = strtoll(text, &end, 10);
	if (errno || !isdigit((unsigned char)*text) || *end != ':')
		return false;
	out->seq = seq;
	return strlen(end + 1) == 2 * sizeof out->chain &&
	       hex_read(end + 1, sizeof out->chain, out->chain);
}

static enum error verify(const struct store_arguments *arguments,
			 const struct escrow_checkpoint *since, struct escrow_verified *out)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	TRY(cli_open(arguments, &escrow));
	struct progress progress;
	progress_begin(&progress, "lines and versions", 0);
	enum error result = escrow_verify(escrow,
					  &(struct escrow_verifying){.since = since,
								     .finding = print_finding,
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
	struct escrow_checkpoint since = {0};
	if (arguments.since && !read_checkpoint(arguments.since, &since))
		return cli_usage(&cli_verify,
				 "`%s` is no checkpoint: it is NUMBER:CHAIN, as `escrowfs status` "
				 "prints it",
				 arguments.since);
	if (verify(&arguments, arguments.since ? &since : NULL, &verified))
		return cli_failed();
	return verified.findings ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char help[] = "\
  --since NUMBER:CHAIN    a checkpoint that `escrowfs status` printed once and\n\
                          that was kept elsewhere: the trail must lead through\n\
                          it, so that one that was cut short is found out\n\
  --key URI               the private key, when it isn't where the store\n\
                          remembers it\n\
  --passphrase-file FILE  the key's passphrase is the first line of FILE\n";

const struct command cli_verify = {
	.name = "verify",
	.arguments = "[--since CHECKPOINT] [--key URI] [--passphrase-file FILE] STORE",
	.summary = "checks the trail's chain, every seal and the database",
	.help = help,
	.takes = TAKES_KEY | TAKES_SINCE,
	.run = run,
};

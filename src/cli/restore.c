/* escrowfs restore: makes an old version of a device's token the current one again. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static enum error restore(const struct store_arguments *arguments, int number)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct actor actor;
	const char *udid = arguments->rest[0];
	int made = 0;
	cli_actor(&actor);
	TRY(cli_open(arguments, &escrow));
	TRY(escrow_restore(escrow, &actor, udid, number, &made));
	if (made)
		printf("%s: version %d is the current one, with the token of version %d.\n", udid,
		       made, number);
	else
		printf("%s: the current version has the token of version %d already; it is "
		       "confirmed.\n",
		       udid, number);
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_restore, argc, argv, 2, 2, &arguments);
	if (status >= 0)
		return status;
	char *end;
	errno = 0;
	long number = strtol(arguments.rest[1], &end, 10);
	if (errno || end == arguments.rest[1] || *end || number < 1 || number > INT_MAX)
		return cli_usage(&cli_restore, "`%s` is no number of a version", arguments.rest[1]);
	return restore(&arguments, (int)number) ? cli_failed() : EXIT_SUCCESS;
}

const struct command cli_restore = {
	.name = "restore",
	.arguments = "[--recipients FILE] [--key URI] [--passphrase-file FILE] STORE UDID NUMBER",
	.summary = "makes an old version of a device's token the current one again",
	.help = "  --recipients FILE       refuse to seal to others than those in FILE, in PEM\n"
		"  --key URI               the private key, when it isn't where the store\n"
		"                          remembers it\n"
		"  --passphrase-file FILE  the key's passphrase is the first line of FILE\n",
	.takes = TAKES_KEY | TAKES_RECIPIENTS,
	.run = run,
};

/* escrowfs accept: a device's new client certificate becomes its own, for mounts with identity=strict. */
#include "cli.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool print_stranger(void *context, const char *udid, const char *own,
			   const struct stranger *stranger)
{
	int64_t *count = context;
	char at[TEXT_TIME];
	time_text(stranger->at, at);
	printf("%s\n  came with  %s, %s\n  its own is %s\n", udid, stranger->identity, at, own);
	++*count;
	return true;
}

static enum error list(struct escrow *escrow)
{
	int64_t count = 0;
	TRY(escrow_strangers(escrow, print_stranger, &count));
	if (!count)
		printf("Every device came with its own client certificate.\n");
	return OK;
}

static enum error accept_change(struct store_arguments *arguments)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct actor actor;
	struct escrow_accepted accepted;
	char **rest = arguments->rest;
	cli_actor(&actor);
	arguments->no_key = true;
	TRY(cli_open(arguments, &escrow));
	if (!arguments->rest_count)
		return list(escrow);
	TRY(escrow_accept(escrow, &actor, rest[0], arguments->rest_count > 1 ? rest[1] : NULL,
			  &accepted));
	printf("%s: its client certificate is %s from now on, before %s.\n", rest[0],
	       accepted.identity, accepted.before);
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_accept, argc, argv, 0, 2, &arguments);
	if (status >= 0)
		return status;
	return accept_change(&arguments) ? cli_failed() : EXIT_SUCCESS;
}

static const char help[] = "\
Without UDID: lists the devices that came with another client certificate than\n\
their own to a mount with -o identity=strict.\n\
With FINGERPRINT, its SHA-256 or the first digits of it: only that one.\n";

const struct command cli_accept = {
	.name = "accept",
	.arguments = "STORE [UDID [FINGERPRINT]]",
	.summary = "accepts a device's new client certificate",
	.help = help,
	.run = run,
};

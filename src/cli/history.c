/* escrowfs history: the versions of a device's token, old and new; never a token. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>

static void write_time(int64_t at, char out[static TEXT_TIME])
{
	if (at <= TIME_UNKNOWN_END)
		snprintf(out, TEXT_TIME, "unknown");
	else
		time_text(at, out);
}

static bool print_version(void *context, const struct version *version, const char *udid,
			  bool removed)
{
	int *count = context;
	char escrowed[TEXT_TIME], ended[TEXT_TIME] = "-";
	(void)udid;
	if (!(*count)++)
		printf("%7s  %-24s  %-24s  %s\n", "VERSION", "ESCROWED", "ENDED", "");
	write_time(version->escrowed_at, escrowed);
	if (version->ended_at)
		write_time(version->ended_at, ended);
	printf("%7d  %-24s  %-24s  %s%s\n", version->number, escrowed, ended,
	       version->ended_at ? version_end_word(version->end) : "current",
	       removed ? " (the device was taken away)" : "");
	return true;
}

static enum error show(const struct store_arguments *arguments)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	int count = 0;
	TRY(cli_open(arguments, &escrow));
	TRY(escrow_history(escrow, arguments->rest[0], print_version, &count));
	if (!count)
		printf("No token of it was ever escrowed.\n");
	return OK;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int status = cli_store_arguments(&cli_history, argc, argv, 1, 1, &arguments);
	if (status >= 0)
		return status;
	arguments.no_key = true;
	return show(&arguments) ? cli_failed() : EXIT_SUCCESS;
}

const struct command cli_history = {
	.name = "history",
	.arguments = "STORE UDID",
	.summary = "lists the versions of a device's token",
	.help = "It opens no seal, and needs no key.\n",
	.run = run,
};

/* escrowfs status: a store at a glance. */
#include "cli.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY (INT64_C(86400) * 1000000000)
#define SOON (30 * DAY)

static void print_size(uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes;
	size_t unit = 0;
	for (; size >= 1024 && unit < sizeof units / sizeof *units - 1; unit++)
		size /= 1024;
	printf("%.*f %s", unit ? 1 : 0, size, units[unit]);
}

static void print_devices(const uint64_t counts[static STATUS_COUNT])
{
	uint64_t all = 0;
	for (int i = 0; i < STATUS_COUNT; i++)
		all += counts[i];
	printf("devices         %8" PRIu64 "\n", all);
	for (int i = 0; i < STATUS_COUNT; i++)
		printf("  %-13s %8" PRIu64 "\n", status_word((enum status)i), counts[i]);
}

static enum error print_recipients(struct escrow *escrow, int count)
{
	for (int i = 0; i < count; i++) {
		struct recipient recipient;
		char fingerprint[65], day[TEXT_TIME];
		int64_t expires;
		TRY(escrow_recipient(escrow, i, &recipient, fingerprint, &expires));
		time_text(expires, day);
		int64_t left = expires - time_now();
		printf("%-11s %s, expires %.10s%s\n            SHA-256 %s\n", i ? "" : "recipients",
		       recipient.name, day,
		       left < 0	     ? ": IT HAS EXPIRED"
		       : left < SOON ? ": SOON"
				     : "",
		       fingerprint);
		if (left < SOON)
			cli_say("the certificate of recipient %s %s on %.10s; tokens are "
				"sealed to it all the same, and open with its key",
				recipient.name, left < 0 ? "expired" : "expires", day);
	}
	return OK;
}

/* What to keep elsewhere, so that a trail that was cut short is found out. */
static void print_checkpoint(const struct trail_end *trail)
{
	char chain[2 * sizeof trail->chain + 1];
	hex_write(trail->chain, sizeof trail->chain, chain);
	printf("checkpoint  %" PRId64 ":%s\n", trail->seq, chain);
}

static enum error print(struct escrow *escrow, const char *store)
{
	struct escrow_status status;
	TRY(escrow_status(escrow, &status));
	printf("store       %s, ", store);
	print_size(status.space.used);
	printf(" (");
	print_size(status.space.available);
	printf(" free on its disk)\n");
	printf("served by   %s\n", *status.served_by ? status.served_by : "nobody");
	print_devices(status.devices);
	if (status.unverified)
		printf("unverified      %8" PRIu64
		       "  from a backup; each is opened and verified when "
		       "it is first read, or all of them when they are imported with the key\n",
		       status.unverified);
	if (status.unclean)
		printf("files       hold seals still that were replaced or destroyed: a rekey or a "
		       "purge was stopped; `escrowfs rekey %s` ends it\n",
		       store);
	printf("key         %s%s\n", status.key_uri,
	       escrow_has_key(escrow) ? "" : ": not found here, so tokens can't be retrieved");
	TRY(print_recipients(escrow, status.recipients));
	print_checkpoint(&status.trail);
	return OK;
}

static enum error show(const struct store_arguments *arguments)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	TRY(cli_open(arguments, &escrow));
	char *path = cli_absolute(arguments->store);
	enum error result = print(escrow, path ? path : arguments->store);
	free(path);
	return result;
}

static int run(int argc, char **argv)
{
	struct store_arguments arguments;
	int exit_status = cli_store_arguments(&cli_status, argc, argv, 0, 0, &arguments);
	if (exit_status >= 0)
		return exit_status;
	return show(&arguments) ? cli_failed() : EXIT_SUCCESS;
}

const struct command cli_status = {
	.name = "status",
	.arguments = "[--key URI] [--passphrase-file FILE] STORE",
	.summary = "shows devices by status, recipients, the trail's checkpoint",
	.help = cli_store_help,
	.run = run,
};

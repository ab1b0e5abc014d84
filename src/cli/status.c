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

static void print_room(const struct store_space *space)
{
	switch (store_room(space)) {
	case ROOM_ENOUGH:
		return;
	case ROOM_LOW:
		printf("disk        NEARLY FULL: make room; without it nothing can be escrowed, "
		       "and "
		       "after some 10,000 retrievals\n            nothing be retrieved\n");
		break;
	case ROOM_FULL:
		printf("disk        FULL: nothing is escrowed any more, and tokens are retrieved "
		       "only "
		       "as long as the room\n            lasts that was kept back for it, ");
		print_size(space->kept);
		printf(" of ");
		print_size(space->to_keep);
		printf("; make room\n");
	}
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

/* ---- the fleet, in tables of 79 columns ---- */

static const struct {
	enum status status;
	int width;
} columns[STATUS_COUNT] = {
	{STATUS_ESCROWED, 9},	   {STATUS_STALE, 7},	       {STATUS_NOT_ESCROWED, 13},
	{STATUS_NOT_ELIGIBLE, 13}, {STATUS_NOT_SUPPORTED, 14}, {STATUS_UNENROLLED, 11},
};

static void print_heading(const char *what)
{
	printf("\n%-12s", what);
	for (int i = 0; i < STATUS_COUNT; i++)
		printf("%*s", columns[i].width, status_word(columns[i].status));
	printf("\n");
}

static void print_counts(const char *what, const uint64_t counts[static STATUS_COUNT])
{
	printf("%-12s", what);
	for (int i = 0; i < STATUS_COUNT; i++) {
		char number[24] = "-";
		uint64_t count = counts[columns[i].status];
		if (count)
			snprintf(number, sizeof number, "%" PRIu64, count);
		printf("%*s", columns[i].width, number);
	}
	printf("\n");
}

static void name_age(enum token_age age, char *out, size_t size)
{
	if (age == AGE_UNKNOWN)
		snprintf(out, size, "unknown");
	else if (age_days(age) == 1)
		snprintf(out, size, "< 1 day");
	else if (age_days(age))
		snprintf(out, size, "< %d days", age_days(age));
	else
		snprintf(out, size, "older");
}

static void print_census(const struct census *census)
{
	uint64_t all[STATUS_COUNT] = {0};
	char age[24];
	if (!census->systems)
		return;
	print_heading("system");
	for (int i = 0; i < census->systems; i++) {
		print_counts(census->system[i].name, census->system[i].devices);
		for (int status = 0; status < STATUS_COUNT; status++)
			all[status] += census->system[i].devices[status];
	}
	print_counts("all", all);
	print_heading("token's age");
	for (int i = 0; i < AGE_COUNT; i++) {
		name_age((enum token_age)i, age, sizeof age);
		print_counts(age, census->tokens[i]);
	}
	printf("\noverdue         %8" PRIu64 "  not_escrowed, and enrolled for over %d days\n",
	       census->overdue, OVERDUE_DAYS);
}

/* ---- who can open the tokens ---- */

static enum error print_recipients(struct escrow *escrow, int count)
{
	for (int i = 0; i < count; i++) {
		struct recipient recipient;
		char fingerprint[65], day[TEXT_TIME];
		int64_t expires;
		TRY(escrow_recipient(escrow, i, &recipient, fingerprint, &expires));
		time_text(expires, day);
		text_printable(recipient.name);
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

/* `word`: the store, as it is pasted into a shell. */
static enum error print(struct escrow *escrow, const char *store, const char *word,
			struct census *census)
{
	struct escrow_status status;
	TRY(escrow_census(escrow, &status, census));
	/* Names of files. */
	text_printable(status.served_by);
	text_printable(status.key_uri);
	printf("store       %s, ", store);
	print_size(status.space.used);
	printf(" (");
	print_size(status.space.available);
	printf(" free on its disk)\n");
	print_room(&status.space);
	printf("served by   %s\n", *status.served_by ? status.served_by : "nobody");
	print_devices(status.devices);
	print_census(census);
	if (status.unverified)
		printf("unverified      %8" PRIu64
		       "  from a backup; each is opened and verified when "
		       "it is first read, or all of them when they are imported with the key\n",
		       status.unverified);
	if (status.unclean)
		printf("files       hold seals still that were replaced or destroyed: a rekey or a "
		       "purge was stopped; `escrowfs rekey %s` ends it\n",
		       word);
	printf("key         %s%s\n", status.key_uri,
	       escrow_has_key(escrow) ? "" : ": not found, or not opened (see above)");
	TRY(print_recipients(escrow, status.recipients));
	print_checkpoint(&status.trail);
	return OK;
}

static enum error print_for_people(struct escrow *escrow, char *store)
{
	SCOPED(text_scoped) char *word = text_shell(store);
	struct census *census = malloc(sizeof *census);
	if (!census || !word) {
		free(census);
		return fail(ERR_MEMORY, "out of memory");
	}
	text_printable(store);
	enum error result = print(escrow, store, word, census);
	free(census);
	return result;
}

static enum error print_for_programs(struct escrow *escrow, const char *store)
{
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(escrow_status_json(escrow, store, &text));
	fwrite(text.data, 1, text.len, stdout);
	return OK;
}

static enum error show(const struct store_arguments *arguments)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	TRY(cli_open(arguments, &escrow));
	char *path = cli_absolute(arguments->store);
	if (!path)
		return fail(ERR_MEMORY, "out of memory");
	enum error result =
		arguments->json ? print_for_programs(escrow, path) : print_for_people(escrow, path);
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

static const char help[] = "\
  --json                  the same as one JSON object, for programs\n\
  --key URI               the private key, when it isn't where the store\n\
                          remembers it\n\
  --passphrase-file FILE  the key's passphrase is the first line of FILE\n\
\n\
It goes through all devices once: some seconds for a million.\n";

const struct command cli_status = {
	.name = "status",
	.arguments = "[--json] [--key URI] [--passphrase-file FILE] STORE",
	.summary = "shows devices by status, system and age of token, recipients, the checkpoint",
	.help = help,
	.takes = TAKES_KEY | TAKES_JSON,
	.run = run,
};

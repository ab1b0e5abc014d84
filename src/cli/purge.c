/*
 * escrowfs purge: destroys versions that ended before a date. It says first what that is, and
 * goes on when the number of versions was typed, or with --yes.
 */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct purge {
	struct escrow *escrow;
	const char *store, *date;
	int64_t before;
	bool yes, said_waiting;
};

/* ---- before ---- */

static void print_purgeable(const struct purge *purge, const struct escrow_purgeable *what)
{
	char before[TEXT_TIME], oldest[TEXT_TIME], newest[TEXT_TIME];
	time_text(purge->before, before);
	time_text(what->oldest, oldest);
	time_text(what->newest, newest);
	printf("%" PRId64 " version%s of %" PRId64 " device%s ended before %s", what->versions,
	       cli_plural(what->versions), what->devices, cli_plural(what->devices), before);
	if (what->versions)
		printf(": the oldest %s, the newest %s", oldest, newest);
	printf(".\n");
	if (what->vanishing)
		printf("Of %" PRId64 " device%s that %s taken away no version will be left.\n",
		       what->vanishing, cli_plural(what->vanishing),
		       what->vanishing == 1 ? "was" : "were");
	fflush(stdout);
}

/* Asks for the number to be typed. */
static bool confirmed(int64_t versions)
{
	char line[64], *end;
	fprintf(stderr, "They are destroyed for good; backups made before have them still.\n"
			"Type the number of versions to go on: ");
	if (!fgets(line, sizeof line, stdin))
		return false;
	errno = 0;
	long long typed = strtoll(line, &end, 10);
	return !errno && end != line && strcmp(end, "\n") == 0 && typed == versions;
}

/* ---- during ---- */

static bool going_on(void *context, int64_t destroyed)
{
	(void)context;
	(void)destroyed;
	return !cli_stop;
}

static bool waiting(void *context, bool reader)
{
	struct purge *purge = context;
	if (reader && !purge->said_waiting)
		cli_say("%s: waiting for sealed mounts to end: they read what was there "
			"before, and the store's files hold it until then",
			purge->store);
	purge->said_waiting = purge->said_waiting || reader;
	return !cli_stop;
}

static enum error destroy(struct purge *purge, const struct escrow_purgeable *what)
{
	struct actor actor;
	int64_t destroyed = 0;
	cli_actor(&actor);
	cli_catch_signals();
	enum error result =
		escrow_purge(purge->escrow, &actor, purge->before,
			     &(struct escrow_purging){
				     .going_on = going_on, .waiting = waiting, .context = purge},
			     &destroyed);
	if (destroyed || result)
		printf("%" PRId64 " version%s %s destroyed.\n", destroyed, cli_plural(destroyed),
		       destroyed == 1 ? "was" : "were");
	TRY(result);
	if (destroyed || what->unfinished)
		printf("Nothing of what was destroyed is left in the store's files.\n");
	else
		printf("There is nothing to destroy.\n");
	return OK;
}

static int purge_store(struct purge *purge)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	struct escrow_purgeable what;
	const struct store_arguments arguments = {.store = purge->store, .no_key = true};
	if (cli_open(&arguments, &escrow) || escrow_purgeable(escrow, purge->before, &what))
		return cli_failed();
	purge->escrow = escrow;
	print_purgeable(purge, &what);
	if (what.versions && !purge->yes) {
		if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
			return cli_usage(&cli_purge,
					 "nothing was destroyed: there is no terminal to ask on; "
					 "say --yes");
		if (!confirmed(what.versions)) {
			cli_say("nothing was destroyed");
			return EXIT_FAILURE;
		}
	}
	return destroy(purge, &what) ? cli_failed() : EXIT_SUCCESS;
}

static int read_date(struct purge *purge)
{
	if (!purge->date)
		return cli_usage(&cli_purge, "--before DATE is missing");
	if (!date_read(purge->date, &purge->before))
		return cli_usage(&cli_purge,
				 "`%s` is no date: write 2024-01-31, or a time like "
				 "2024-01-31T08:00:00Z",
				 purge->date);
	if (purge->before > time_now())
		return cli_usage(&cli_purge, "`%s` lies in the future", purge->date);
	return -1;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{"before", required_argument, NULL, 'b'},
		{"yes", no_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct purge purge = {0};
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case 'b':
			purge.date = optarg;
			break;
		case 'y':
			purge.yes = true;
			break;
		case 'h':
			return cli_help(&cli_purge);
		default:
			return cli_bad_option(&cli_purge, argv, option);
		}
	}
	if (optind == argc)
		return cli_usage(&cli_purge, "STORE is missing");
	if (optind + 1 < argc)
		return cli_usage(&cli_purge, "`%s` is too much", argv[optind + 1]);
	purge.store = argv[optind];
	int status = read_date(&purge);
	return status >= 0 ? status : purge_store(&purge);
}

const struct command cli_purge = {
	.name = "purge",
	.arguments = "STORE --before DATE",
	.summary = "destroys versions of tokens that ended before a date, for good",
	.help = "\
  --before DATE           a day (2024-01-31: its midnight in UTC) or a time\n\
                          (2024-01-31T08:00:00+01:00), not in the future\n\
  --yes                   doesn't ask\n",
	.run = run,
};

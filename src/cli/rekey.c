/* escrowfs rekey: other recipients, and every token sealed anew to them. */
#include "cli.h"
#include "progress.h"

#include "text.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a token of the largest size takes of secure memory on its way from seal to seal. */
#define HEAP_EACH ((size_t)512 * 1024)
#define HEAP_MAX ((size_t)32 * 1024 * 1024)

#define NAMED 20 /* versions that are left and named; the rest is counted */

struct rekeying {
	const char *store;
	char *word; /* the same, to be pasted into a shell */
	struct store_arguments arguments;
	struct escrow_rekey how;
	bool list;
	struct progress progress;
	struct escrow_rekeyed done;
	int64_t left;
	enum rekey_step said;
};

/* ---- arguments ---- */

enum {
	OPTION_ADD = 1,
	OPTION_RETIRE,
	OPTION_LIST,
	OPTION_KEY,
	OPTION_PASSPHRASE,
	OPTION_REMEMBER,
	OPTION_RECIPIENTS
};

static const struct option options[] = {
	{"add", required_argument, NULL, OPTION_ADD},
	{"retire", required_argument, NULL, OPTION_RETIRE},
	{"list", no_argument, NULL, OPTION_LIST},
	{"key", required_argument, NULL, OPTION_KEY},
	{"passphrase-file", required_argument, NULL, OPTION_PASSPHRASE},
	{"remember", no_argument, NULL, OPTION_REMEMBER},
	{"recipients", required_argument, NULL, OPTION_RECIPIENTS},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* What --list has no use for; NULL: nothing is. */
static const char *unused(const struct rekeying *rekeying)
{
	return rekeying->arguments.key_uri	     ? "--key"
	       : rekeying->arguments.passphrase_file ? "--passphrase-file"
	       : rekeying->how.recipients	     ? "--recipients"
						     : NULL;
}

static int check(int argc, char **argv, struct rekeying *rekeying)
{
	const struct escrow_rekey *how = &rekeying->how;
	if (optind == argc)
		return cli_usage(&cli_rekey, "STORE is missing");
	if (argc - optind > 1)
		return cli_usage(&cli_rekey, "`%s` is too much", argv[optind + 1]);
	if (rekeying->list && (how->add_count || how->retire_count || how->remember))
		return cli_usage(&cli_rekey, "--list changes nothing: call it by itself");
	if (rekeying->list && unused(rekeying))
		return cli_usage(&cli_rekey, "--list takes no %s: it opens no seal, and makes none",
				 unused(rekeying));
	if (how->remember && !rekeying->arguments.key_uri)
		return cli_usage(&cli_rekey, "--remember needs --key: that one is remembered");
	rekeying->store = argv[optind];
	return -1;
}

/* -1: go on. `add` and `retire` have room for argc each. */
static int parse(int argc, char **argv, const char **add, const char **retire,
		 struct rekeying *rekeying)
{
	struct escrow_rekey *how = &rekeying->how;
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case OPTION_ADD:
			add[how->add_count++] = optarg;
			break;
		case OPTION_RETIRE:
			retire[how->retire_count++] = optarg;
			break;
		case OPTION_RECIPIENTS:
			how->recipients = optarg;
			break;
		case OPTION_LIST:
			rekeying->list = true;
			break;
		case OPTION_KEY:
			rekeying->arguments.key_uri = optarg;
			break;
		case OPTION_PASSPHRASE:
			rekeying->arguments.passphrase_file = optarg;
			break;
		case OPTION_REMEMBER:
			how->remember = true;
			break;
		case 'h':
			return cli_help(&cli_rekey);
		default:
			return cli_bad_option(&cli_rekey, argv, option);
		}
	}
	how->add = add;
	how->retire = retire;
	return check(argc, argv, rekeying);
}

/* ---- while it works ---- */

static bool on_step(void *context, enum rekey_step step, int64_t done, int64_t total)
{
	struct rekeying *rekeying = context;
	if (step == REKEY_SEALING) {
		rekeying->progress.total = total;
		progress_show(&rekeying->progress, done);
		return !cli_stop;
	}
	progress_wipe(&rekeying->progress);
	if (step == rekeying->said)
		return !cli_stop;
	rekeying->said = step;
	if (step == REKEY_COMPACTING)
		cli_say("%s: writing the store's files anew, without what was replaced",
			rekeying->store);
	else
		cli_say("%s: waiting for a sealed mount to end: it shows what was there "
			"before, so the store's files hold that still. ^C ends the wait, and "
			"`escrowfs rekey %s` takes it up again",
			rekeying->store, rekeying->word);
	return !cli_stop;
}

static void on_left(void *context, const char *sentence)
{
	struct rekeying *rekeying = context;
	progress_wipe(&rekeying->progress);
	if (++rekeying->left <= NAMED)
		cli_say("%s", sentence);
	else if (rekeying->left == NAMED + 1)
		cli_say("... and so on: from here on they are only counted");
}

/* ---- what became of it ---- */

/* What the operator should know of the new recipients, however far the seals are. */
static void warn_of_recipients(const struct rekeying *rekeying)
{
	const struct escrow_rekeyed *done = &rekeying->done;
	if (!done->recipients)
		return; /* it didn't come so far */
	if (rekeying->how.retire_count && done->recipients == 1)
		cli_say("%s: one recipient is left, and no recovery key: without its "
			"private key every token is lost. Add another one with --add CERT",
			rekeying->store);
	else if (done->recovery_retired)
		cli_say("%s: its recovery key is retired: keep the private key of one of "
			"the other recipients away from this machine, for the day when it burns",
			rekeying->store);
	if (done->key_retired)
		cli_say("%s: the private key that was used here is no recipient's any "
			"more and opens nothing of what is sealed from now on. Mounts need "
			"-o key=URI with another one; `escrowfs rekey %s --key URI --remember` "
			"makes it the usual one",
			rekeying->store, rekeying->word);
}

static void print_sealed(const struct rekeying *rekeying)
{
	const struct escrow_rekeyed *done = &rekeying->done;
	if (done->total)
		printf("%" PRId64 " version%s sealed anew, to %d recipient%s.", done->sealed,
		       cli_plural(done->sealed), done->recipients, cli_plural(done->recipients));
	else
		printf("Every version is sealed to the %d recipient%s of today.", done->recipients,
		       cli_plural(done->recipients));
	if (done->clean && !done->unopened && !done->damaged)
		printf(" No older seal is left in the store's files.");
	printf("\n");
}

static void print_left(const struct rekeying *rekeying)
{
	const struct escrow_rekeyed *done = &rekeying->done;
	if (done->unopened)
		printf("%" PRId64 " version%s left as %s: this private key opens none of them, and "
		       "a retired one still may.\nCall it again with --key URI and a key that "
		       "does.\n",
		       done->unopened, done->unopened == 1 ? " was" : "s were",
		       done->unopened == 1 ? "it is" : "they are");
	if (done->damaged)
		printf("%" PRId64 " version%s left as %s: the seal is damaged, and a retired key "
		       "may open a part of it still.\nRestore them from a backup.\n",
		       done->damaged, done->damaged == 1 ? " was" : "s were",
		       done->damaged == 1 ? "it is" : "they are");
}

static int print_result(const struct rekeying *rekeying)
{
	const struct escrow_rekeyed *done = &rekeying->done;
	warn_of_recipients(rekeying);
	int64_t looked = done->sealed + done->unopened + done->damaged;
	if (done->stopped && looked < done->total)
		printf("Stopped: %" PRId64 " of %" PRId64 " version%s sealed anew. `escrowfs rekey "
		       "%s` goes on.\n",
		       done->sealed, done->total, done->total == 1 ? " is" : "s are",
		       rekeying->word);
	else if (done->stopped)
		printf("Stopped: all is sealed anew, but the store's files hold what was replaced. "
		       "`escrowfs rekey %s` goes on.\n",
		       rekeying->word);
	else
		print_sealed(rekeying);
	print_left(rekeying);
	return done->stopped || done->unopened || done->damaged ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* An error when some of it was done. */
static int failed(const struct rekeying *rekeying)
{
	const struct escrow_rekeyed *done = &rekeying->done;
	char why[512];
	snprintf(why, sizeof why, "%s", fail_why());
	warn_of_recipients(rekeying);
	cli_say("%s", why);
	if (done->changed || done->sealed)
		cli_say("%s: %" PRId64 " of %" PRId64 " versions are sealed anew; `escrowfs rekey "
			"%s` goes on when that is mended (writing the files anew takes room for a "
			"copy of the store)",
			rekeying->store, done->sealed, done->total, rekeying->word);
	return EXIT_FAILURE;
}

/* ---- --list ---- */

static enum error print_recipient(struct escrow *escrow, int i)
{
	struct recipient recipient;
	char fingerprint[65], day[TEXT_TIME];
	int64_t expires;
	TRY(escrow_recipient(escrow, i, &recipient, fingerprint, &expires));
	time_text(expires, day);
	printf("%s  %.10s%s  %s\n", fingerprint, day, expires < time_now() ? " EXPIRED" : "",
	       recipient.name);
	return OK;
}

/* `store`: as it is pasted. */
static enum error list(struct escrow *escrow, const char *store)
{
	struct escrow_status status;
	struct escrow_seals seals;
	TRY(escrow_status(escrow, &status));
	TRY(escrow_seals(escrow, &seals));
	for (int i = 0; i < status.recipients; i++)
		TRY(print_recipient(escrow, i));
	printf("%" PRId64 " version%s sealed to %s, %" PRId64 " to older recipients.\n",
	       seals.current, seals.current == 1 ? " is" : "s are",
	       status.recipients == 1 ? "this one" : "these", seals.older);
	if (seals.older)
		printf("`escrowfs rekey %s` seals them anew.\n", store);
	else if (seals.unclean)
		printf("The store's files may hold older seals: `escrowfs rekey %s` takes them "
		       "out.\n",
		       store);
	return OK;
}

/* ---- the whole ---- */

/* The usual limit of locked memory of others than root is 8 MiB. */
static size_t heap(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t size = CLI_HEAP;
	while (getuid() == 0 && size < HEAP_MAX && size < HEAP_EACH * (size_t)processors)
		size *= 2;
	return size;
}

static enum error rekey(struct rekeying *rekeying)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	const struct rekey_watch watch = {on_step, on_left, rekeying};
	struct actor actor;
	cli_actor(&actor);
	rekeying->arguments.store = rekeying->store;
	rekeying->arguments.heap = heap();
	rekeying->arguments.no_key = rekeying->list;
	/* The key opens what was sealed before: it need not be a recipient's of today. */
	rekeying->arguments.any_key = true;
	TRY(cli_open(&rekeying->arguments, &escrow));
	if (rekeying->list)
		return list(escrow, rekeying->word);
	cli_catch_signals();
	progress_begin(&rekeying->progress, "versions sealed anew", 0);
	enum error result = escrow_rekey(escrow, &actor, &rekeying->how, &watch, &rekeying->done);
	progress_wipe(&rekeying->progress);
	return result;
}

static int run(int argc, char **argv)
{
	const char **words = calloc(2 * (size_t)argc, sizeof *words);
	struct rekeying rekeying = {0};
	if (!words)
		return EXIT_FAILURE;
	int status = parse(argc, argv, words, words + argc, &rekeying);
	if (status < 0 && !(rekeying.word = text_shell(rekeying.store)))
		status = EXIT_FAILURE;
	if (status < 0)
		status = rekey(&rekeying) ? failed(&rekeying)
			 : rekeying.list  ? EXIT_SUCCESS
					  : print_result(&rekeying);
	free(rekeying.word);
	free(words);
	return status;
}

static const char help[] = "\
  --add CERT              from now on seal to this certificate, too\n\
  --retire FINGERPRINT    from now on don't seal to this one; the first digits of\n\
                          its SHA-256 will do. Both may be given many times\n\
  --recipients FILE       refuse to seal to others than those in FILE, in PEM:\n\
                          whom there is to be in the end\n\
  --list                  show the recipients, and how many versions are sealed to\n\
                          them; changes nothing and needs no key\n\
  --key URI               the private key that opens what is there, when it isn't\n\
                          where the store remembers it\n\
  --remember              from now on the store remembers the key of --key\n\
  --passphrase-file FILE  the key's passphrase is the first line of FILE\n\
\n\
What was stopped goes on with `escrowfs rekey STORE`.\n";

const struct command cli_rekey = {
	.name = "rekey",
	.arguments = "STORE [--add CERT] [--retire FINGERPRINT] [--list]",
	.summary = "changes who can open the tokens, and seals all of them anew",
	.help = help,
	.run = run,
};

/* escrowfs init: a store and its keys, and what to do with them. */
#include "cli.h"

#include "text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTION_KEY = 1, OPTION_RECIPIENT, OPTION_NO_RECOVERY, OPTION_PASSPHRASE_FILE };

static const struct option options[] = {
	{"key", required_argument, NULL, OPTION_KEY},
	{"recipient", required_argument, NULL, OPTION_RECIPIENT},
	{"no-recovery", no_argument, NULL, OPTION_NO_RECOVERY},
	{"passphrase-file", required_argument, NULL, OPTION_PASSPHRASE_FILE},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* -1: go on. `recipients` has room for argc. */
static int parse(int argc, char **argv, const char **recipients, struct escrow_birth *birth)
{
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case OPTION_KEY:
			birth->key_uri = optarg;
			break;
		case OPTION_RECIPIENT:
			recipients[birth->recipient_count++] = optarg;
			break;
		case OPTION_NO_RECOVERY:
			birth->no_recovery = true;
			break;
		case OPTION_PASSPHRASE_FILE:
			birth->passphrase_file = optarg;
			break;
		case 'h':
			return cli_help(&cli_init);
		default:
			return cli_bad_option(&cli_init, argv, option);
		}
	}
	if (argc - optind < 1)
		return cli_usage(&cli_init, "STORE is missing");
	if (argc - optind > 1)
		return cli_usage(&cli_init, "`%s` is too much", argv[optind + 1]);
	birth->store = argv[optind];
	birth->recipients = recipients;
	return -1;
}

/* The words stand here by themselves: a terminal is 80 columns wide, and code is indented. */
static const char daily_key[] = "\
      the daily key. It opens a token each time that one is retrieved, so it\n\
      stays on this machine; keep it out of the store's backups.\n\n";
static const char named_key[] = "\
      the daily key, as you named it. The store remembers it.\n\n";
static const char recovery_key[] = "\
      the recovery key. MOVE IT OFF THIS MACHINE NOW, to a place that doesn't\n\
      burn with it: it opens every token on the day when the daily key is\n\
      lost, and in a thief's hands any day.\n\n";

static void print_keys(const struct escrow_birth *birth, const struct escrow_born *born)
{
	const char *key = *born->key_path ? born->key_path : birth->key_uri;
	printf("  %s\n%s", key, *born->key_path ? daily_key : named_key);
	if (*born->recovery_path)
		printf("  %s\n%s", born->recovery_path, recovery_key);
	if (birth->passphrase_file && (*born->key_path || *born->recovery_path))
		printf("  The keys are encrypted under the passphrase in %s:\n"
		       "  without it they open nothing. Keep it with the recovery key, too.\n\n",
		       birth->passphrase_file);
}

/* As mount(8) has it: a comma ends an option, and a quote hides one. */
static enum error escape_option(const char *value, struct bytes *out)
{
	for (; *value; value++) {
		if (strchr(",\"\\", *value))
			TRY(bytes_add(out, "\\", 1));
		TRY(bytes_add(out, value, 1));
	}
	return bytes_add(out, "", 1);
}

/* To be pasted. */
static void print_next(const struct escrow_birth *birth)
{
	static const char name[] = "passphrase-file=";
	const char *file = birth->passphrase_file ? birth->passphrase_file : "";
	SCOPED(text_scoped) char *store = text_shell(birth->store);
	SCOPED(bytes_free) struct bytes option = {0};
	SCOPED(text_scoped) char *word = NULL;
	if (!store || bytes_add(&option, name, strlen(name)) || escape_option(file, &option))
		return;
	word = text_shell((const char *)option.data);
	printf("Next, on an empty directory:\n"
	       "  escrowfs mount %s /mnt/escrow%s%s\n",
	       store, *file ? " -o " : "", *file && word ? word : "");
}

static void print_born(const struct escrow_birth *birth, const struct escrow_born *born)
{
	printf("Made store %s. Its tokens are sealed to %d recipient%s.\n\n", birth->store,
	       born->recipients, born->recipients == 1 ? "" : "s");
	print_keys(birth, born);
	if (birth->no_recovery && !birth->recipient_count)
		printf("There is no recovery key: without the daily key every token is lost.\n\n");
	else
		printf("Without the private key of one recipient every token is lost.\n\n");
	print_next(birth);
}

static enum error init(const struct escrow_birth *birth, struct escrow_born *born)
{
	struct actor actor;
	umask(077);
	cli_actor(&actor);
	TRY(secret_prepare(CLI_HEAP));
	return escrow_init(birth, &actor, born);
}

static int run(int argc, char **argv)
{
	const char **recipients = calloc((size_t)argc, sizeof *recipients);
	struct escrow_birth birth = {0};
	struct escrow_born born;
	if (!recipients)
		return EXIT_FAILURE;
	int status = parse(argc, argv, recipients, &birth);
	if (status < 0) {
		status = EXIT_SUCCESS;
		if (init(&birth, &born))
			status = cli_failed();
		else
			print_born(&birth, &born);
	}
	free(recipients);
	return status;
}

static const char help[] = "\
  --key URI               use an existing private key (a file, or the URI of a\n\
                          token or a TPM) instead of making STORE.key.pem; the\n\
                          store remembers it\n\
  --recipient CERT        seal to this certificate too; may be given many times\n\
  --no-recovery           make no STORE.recovery.pem\n\
  --passphrase-file FILE  encrypt the keys; the passphrase is FILE's first line\n";

const struct command cli_init = {
	.name = "init",
	.arguments =
		"STORE [--key URI] [--recipient CERT] [--no-recovery] [--passphrase-file FILE]",
	.summary = "makes a store, with its daily and its recovery key",
	.help = help,
	.run = run,
};

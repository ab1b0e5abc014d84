/* What the subcommands share. */
#include "cli.h"

#include "fs.h"
#include "text.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- words ---- */

int cli_help(const struct command *command)
{
	printf("escrowfs %s %s\n\n%s.\n", command->name, command->arguments, command->summary);
	if (command->help)
		printf("\n%s", command->help);
	return EXIT_SUCCESS;
}

/* Names of files may hold anything but NUL and '/'. */
static void print_line(FILE *out, const char *before, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
static void print_line(FILE *out, const char *before, const char *format, va_list arguments)
{
	char *line = NULL;
	if (vasprintf(&line, format, arguments) < 0)
		line = NULL;
	else
		text_printable(line);
	fprintf(out, "%s%s\n", before, line ? line : "out of memory");
	free(line);
}

void cli_say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_line(stderr, "escrowfs: ", format, arguments);
	va_end(arguments);
}

void cli_print(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_line(stdout, "", format, arguments);
	va_end(arguments);
}

int cli_usage(const struct command *command, const char *format, ...)
{
	char *what = NULL;
	va_list arguments;
	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	va_end(arguments);
	cli_say("%s: %s; `escrowfs %s --help` shows how it is called", command->name,
		what ? what : "out of memory", command->name);
	free(what);
	return EXIT_USAGE;
}

int cli_bad_option(const struct command *command, char **argv, int result)
{
	const char *word = argv[optind - 1];
	char letter[] = {'-', (char)optopt, 0};
	/* A long option is a word of its own; a letter may stand among others. */
	const char *name = strncmp(word, "--", 2) == 0 || !optopt ? word : letter;
	if (result == ':')
		return cli_usage(command, "%s needs a value", name);
	return cli_usage(command, "there is no option %s", name);
}

int cli_failed(void)
{
	cli_say("%s", fail_why());
	return EXIT_FAILURE;
}

/* ---- this process ---- */

/* The first line of a small file; "" when it can't be read. */
static void read_line(const char *path, char *out, size_t size)
{
	SCOPED(bytes_free) struct bytes content = {0};
	*out = 0;
	if (bytes_read_file(path, 4096, &content) || !content.len)
		return;
	snprintf(out, size, "%.*s", (int)strcspn((const char *)content.data, "\n"),
		 (const char *)content.data);
}

void cli_actor(struct actor *out)
{
	char loginuid[24], *end;
	*out = (struct actor){
		.uid = getuid(), .gid = getgid(), .pid = (int32_t)getpid(), .loginuid = -1};
	read_line("/proc/self/comm", out->command, sizeof out->command);
	read_line("/proc/self/loginuid", loginuid, sizeof loginuid);
	unsigned long value = strtoul(loginuid, &end, 10);
	if (end != loginuid && value != UINT32_MAX)
		out->loginuid = (int64_t)value;
}

char *cli_absolute_unseen(const char *path)
{
	char here[PATH_MAX], *whole;
	if (*path == '/' || !getcwd(here, sizeof here))
		return strdup(path);
	return asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

char *cli_absolute(const char *path)
{
	/* A passed connection's name is a link to the device. */
	char *resolved = fs_mountpoint_passed(path) < 0 ? realpath(path, NULL) : NULL;
	/* It isn't there, or a dead mount: whoever opens it says so. */
	return resolved ? resolved : cli_absolute_unseen(path);
}

/* ---- commands on a store ---- */

#define STORE_OPTIONS 8

/* What a command doesn't use is no option of its. */
static void options_of(const struct command *command, struct option *out)
{
	static const struct {
		int needs;
		struct option option;
	} all[] = {
		{TAKES_KEY, {"key", required_argument, NULL, 'k'}},
		{TAKES_KEY, {"passphrase-file", required_argument, NULL, 'p'}},
		{TAKES_RECIPIENTS, {"recipients", required_argument, NULL, 'r'}},
		{TAKES_DRY_RUN, {"dry-run", no_argument, NULL, 'n'}},
		{TAKES_SINCE, {"since", required_argument, NULL, 's'}},
		{TAKES_JSON, {"json", no_argument, NULL, 'j'}},
	};
	_Static_assert(sizeof all / sizeof *all + 2 == STORE_OPTIONS,
		       "room for all, --help, and the end");
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (command->takes & all[i].needs)
			*out++ = all[i].option;
	*out++ = (struct option){"help", no_argument, NULL, 'h'};
	*out = (struct option){0};
}

int cli_store_arguments(const struct command *command, int argc, char **argv, int rest_min,
			int rest_max, struct store_arguments *out)
{
	struct option options[STORE_OPTIONS];
	options_of(command, options);
	*out = (struct store_arguments){0};
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case 'k':
			out->key_uri = optarg;
			break;
		case 'p':
			out->passphrase_file = optarg;
			break;
		case 'n':
			out->dry_run = true;
			break;
		case 'r':
			out->recipients = optarg;
			break;
		case 's':
			out->since = optarg;
			break;
		case 'j':
			out->json = true;
			break;
		case 'h':
			return cli_help(command);
		default:
			return cli_bad_option(command, argv, option);
		}
	}
	if (optind == argc)
		return cli_usage(command, "STORE is missing");
	out->store = argv[optind++];
	out->rest = argv + optind;
	out->rest_count = argc - optind;
	if (out->rest_count < rest_min)
		return cli_usage(command, "something is missing after %s", out->store);
	if (out->rest_count > rest_max)
		return cli_usage(command, "`%s` is too much", out->rest[rest_max]);
	return -1;
}

enum error cli_open(const struct store_arguments *arguments, struct escrow **out)
{
	umask(077);
	TRY(secret_prepare(arguments->heap ? arguments->heap : CLI_HEAP));
	return escrow_open(&(struct escrow_options){.store = arguments->store,
						    .mode = ESCROW_SHARE,
						    .key_uri = arguments->key_uri,
						    .passphrase_file = arguments->passphrase_file,
						    .no_key = arguments->no_key,
						    .any_key = arguments->any_key,
						    .rehearse = arguments->dry_run,
						    .recipients = arguments->recipients,
						    .uid = getuid(),
						    .gid = getgid()},
			   out);
}

void escrow_scoped(struct escrow **escrow)
{
	escrow_close(*escrow);
}

volatile sig_atomic_t cli_stop;

static void on_signal(int number)
{
	(void)number;
	cli_stop = 1;
}

void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

const char *cli_plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

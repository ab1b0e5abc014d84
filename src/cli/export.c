/*
 * escrowfs export: tokens for another MDM, in the clear, as messages or CSV; or the sealed tree,
 * for another store (export_tree.c).
 *
 * MUST: plaintext lies in secure memory, and goes from there to write(2) and nowhere else: no
 *       stream, no buffer. (test: export_in_secret)
 * MUST: a file is written only when its token is on the trail, on disk.
 *       (test: export.bats, "on the trail before")
 * MUST: no half-written file is left behind. (test: export.bats, "a full disk",
 *       "killed")
 */
#include "export.h"

#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MESSAGE_UNFINISHED ".unfinished" /* hidden: import passes it by */
#define CSV "tokens.csv"
#define CSV_UNFINISHED "tokens.csv.unfinished"
static const char csv_header[] = "udid,serial,token,escrowed_at\n";

static bool going_on(void *context)
{
	(void)context;
	return !cli_stop;
}

void export_say_failed(struct export *export)
{
	export->failed++;
	progress_wipe(&export->progress);
	cli_say("%s", fail_why());
}

/* ---- messages ---- */

/* It has its name once it is whole, also when this process is killed: nobody takes a half for it. */
static enum error write_message(struct export *export, const struct exported *token)
{
	const struct target *target = &export->target;
	char name[UDID_MAX + sizeof ".plist"];
	int fd;
	snprintf(name, sizeof name, "%s.plist", token->udid);
	TRY(target_create(target, target->fd, MESSAGE_UNFINISHED, &fd));
	enum error result = target_write(target, fd, name, token->text.data, token->text.len);
	if (close(fd) != 0 && !result)
		result = target_fail(target, name);
	if (!result)
		result = target_rename(target, MESSAGE_UNFINISHED, name);
	if (result)
		(void)unlinkat(target->fd, MESSAGE_UNFINISHED, 0);
	return result;
}

/* ---- CSV ---- */

/* A field as RFC 4180 has it: in quotes when it needs them, quotes in it doubled. */
static enum error add_field(struct secret *line, const char *text)
{
	if (!strpbrk(text, ",\"\r\n"))
		return secret_add(line, text, strlen(text));
	TRY(secret_add(line, "\"", 1));
	for (; *text; text++)
		TRY(secret_add(line, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1));
	return secret_add(line, "\"", 1);
}

static enum error write_line(struct export *export, const struct exported *token)
{
	SCOPED(secret_free) struct secret line = {0};
	char at[TEXT_TIME] = "";
	if (token->escrowed_at != TIME_UNKNOWN)
		time_text(token->escrowed_at, at);
	TRY(secret_new(token->text.len + 2 * FACT_TEXT + UDID_MAX + TEXT_TIME + 8, &line));
	TRY(add_field(&line, token->udid));
	TRY(secret_add(&line, ",", 1));
	TRY(add_field(&line, token->serial));
	TRY(secret_add(&line, ",", 1));
	TRY(secret_add(&line, token->text.data, token->text.len));
	TRY(secret_add(&line, ",", 1));
	TRY(add_field(&line, at));
	TRY(secret_add(&line, "\n", 1));
	return target_write(&export->target, export->csv, CSV, line.data, line.len);
}

static enum error begin_csv(struct export *export)
{
	const struct target *target = &export->target;
	TRY(target_create(target, target->fd, CSV_UNFINISHED, &export->csv));
	return target_write(target, export->csv, CSV, csv_header, strlen(csv_header));
}

/* It has its name once it is whole: nobody takes a half for it. */
static enum error end_csv(struct export *export)
{
	const struct target *target = &export->target;
	if (fsync(export->csv) != 0)
		return target_fail(target, CSV);
	return target_rename(target, CSV_UNFINISHED, CSV);
}

static void drop_csv(const struct export *export)
{
	if (export->csv < 0)
		return;
	close(export->csv);
	(void)unlinkat(export->target.fd, CSV_UNFINISHED, 0);
}

/* ---- tokens in the clear ---- */

static enum error write_token(void *context, const struct exported *token)
{
	struct export *export = context;
	if (token->error) {
		fail(token->error, "%s", token->why);
		export_say_failed(export);
		return OK;
	}
	TRY(export->form == EXPORT_MESSAGE ? write_message(export, token)
					   : write_line(export, token));
	export->tokens++;
	progress_show(&export->progress, export->tokens);
	return OK;
}

static enum error write_tokens(struct export *export, int64_t *without)
{
	char where[PATH_MAX + 32], *directory = cli_absolute(export->directory);
	struct actor actor;
	bool csv = export->form == EXPORT_BASE64;
	cli_actor(&actor);
	snprintf(where, sizeof where, "as %s, to %s", csv ? "CSV" : "messages",
		 directory ? directory : export->directory);
	free(directory);
	if (csv)
		TRY(begin_csv(export));
	TRY(escrow_export(export->escrow, &actor,
			  &(struct exporting){.form = export->form,
					      .where = where,
					      .udids = (const char *const *)export->udids,
					      .udid_count = export->udid_count,
					      .each = write_token,
					      .going_on = going_on,
					      .context = export},
			  without));
	if (csv && !cli_stop)
		TRY(end_csv(export));
	return target_sync(&export->target);
}

static void print_summary(const struct export *export, int64_t without)
{
	bool csv = export->form == EXPORT_BASE64;
	if (csv && cli_stop) {
		printf("Stopped before the end: %s was taken away again.\n", CSV);
		return;
	}
	printf("%" PRId64 " token%s in %s%s%s", export->tokens, cli_plural(export->tokens),
	       export->directory, csv ? "/" : "", csv ? CSV : "");
	if (without && !export->udid_count)
		printf("; %" PRId64 " device%s %s none", without, cli_plural(without),
		       without == 1 ? "has" : "have");
	printf(".\n");
	if (export->failed)
		printf("%" PRId64 " device%s not exported.\n", export->failed,
		       export->failed == 1 ? " was" : "s were");
	if (cli_stop)
		printf("Stopped before the end; what was written stays. To begin anew, name "
		       "another directory.\n");
	else if (export->tokens)
		printf("They are in the clear: whoever reads them may enable accounts on these "
		       "Macs. Remove them when they were taken over.\n");
}

static enum error plain(struct export *export)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	const struct store_arguments arguments = {.store = export->store,
						  .key_uri = export->key_uri,
						  .passphrase_file = export->passphrase_file};
	int64_t without = 0;
	TRY(cli_open(&arguments, &escrow));
	export->escrow = escrow;
	if (!escrow_has_key(escrow)) {
		/* Refused, and recorded, before a directory is made. */
		struct actor actor;
		cli_actor(&actor);
		return escrow_export(escrow, &actor, &(struct exporting){0}, &without);
	}
	TRY(target_open(export->directory, escrow, &export->target));
	cli_catch_signals();
	progress_begin(&export->progress, "tokens", 0);
	enum error result = write_tokens(export, &without);
	progress_wipe(&export->progress);
	drop_csv(export);
	TRY(result);
	print_summary(export, without);
	return OK;
}

static enum error tree(struct export *export)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	TRY(secret_prepare(CLI_HEAP));
	TRY(escrow_open(&(struct escrow_options){.store = export->store,
						 .mode = ESCROW_SEALED,
						 .no_key = true,
						 .uid = getuid(),
						 .gid = getgid()},
			&escrow));
	export->escrow = escrow;
	TRY(target_open(export->directory, escrow, &export->target));
	cli_catch_signals();
	TRY(export_tree(export));
	TRY(target_sync(&export->target));
	printf("%" PRId64 " file%s in %s, every token sealed.\n", export->files,
	       cli_plural(export->files), export->directory);
	if (export->failed)
		printf("%" PRId64 " device%s or file%s could not be copied.\n", export->failed,
		       cli_plural(export->failed), cli_plural(export->failed));
	if (cli_stop)
		printf("Stopped before the end; what was written stays. To begin anew, name "
		       "another directory.\n");
	return OK;
}

/* ---- the command line ---- */

/* Each device once, whatever the case of letters. */
static int by_udid(const void *a, const void *b)
{
	return strcasecmp(*(char *const *)a, *(char *const *)b);
}

static int read_udids(struct export *export)
{
	int count = 0;
	qsort(export->udids, (size_t) export->udid_count, sizeof *export->udids, by_udid);
	for (int i = 0; i < export->udid_count; i++) {
		char *udid = export->udids[i];
		if (!udid_valid(udid, strlen(udid)))
			return cli_usage(&cli_export, "`%s` is no UDID", udid);
		if (!count || strcasecmp(export->udids[count - 1], udid) != 0)
			export->udids[count++] = udid;
	}
	export->udid_count = count;
	return -1;
}

static int finish(struct export *export, enum error result)
{
	target_close(&export->target);
	if (result)
		return cli_failed();
	return cli_stop || export->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int export_as(struct export *export, const char *to)
{
	if (!to)
		return cli_usage(&cli_export, "--to messages, csv or tree is missing");
	if (strcmp(to, "tree") == 0) {
		if (export->key_uri || export->passphrase_file)
			return cli_usage(&cli_export, "a tree stays sealed, and takes no key");
		return finish(export, tree(export));
	}
	bool csv = strcmp(to, "csv") == 0;
	if (!csv && strcmp(to, "messages") != 0)
		return cli_usage(&cli_export, "there is no --to %s; it is messages, csv or tree",
				 to);
	export->form = csv ? EXPORT_BASE64 : EXPORT_MESSAGE;
	return finish(export, plain(export));
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{"to", required_argument, NULL, 't'},
		{"key", required_argument, NULL, 'k'},
		{"passphrase-file", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct export export = {.target = {.fd = -1}, .csv = -1};
	const char *to = NULL;
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (option) {
		case 't':
			to = optarg;
			break;
		case 'k':
			export.key_uri = optarg;
			break;
		case 'p':
			export.passphrase_file = optarg;
			break;
		case 'h':
			return cli_help(&cli_export);
		default:
			return cli_bad_option(&cli_export, argv, option);
		}
	}
	if (argc - optind < 2)
		return cli_usage(&cli_export, "%s is missing", optind == argc ? "STORE" : "DIR");
	export.store = argv[optind];
	export.directory = argv[optind + 1];
	export.udids = argv + optind + 2;
	export.udid_count = argc - optind - 2;
	int status = read_udids(&export);
	return status >= 0 ? status : export_as(&export, to);
}

const struct command cli_export = {
	.name = "export",
	.arguments = "STORE --to messages|csv|tree DIR [UDID...]",
	.summary = "writes tokens for another MDM, in the clear, or the sealed tree",
	.help = "\
  --to messages           UDID.plist for each device: its SetBootstrapToken\n\
                          message\n\
  --to csv                tokens.csv: udid,serial,token,escrowed_at\n\
  --to tree               what a sealed mount shows; needs no key\n\
  --key URI               the private key, when it isn't where the store\n\
                          remembers it\n\
  --passphrase-file FILE  the key's passphrase is the first line of FILE\n",
	.run = run,
};

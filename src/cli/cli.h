#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "error.h"
#include "escrow.h"

#include <signal.h>
#include <stdbool.h>

/*
 * The command line. Each subcommand is a file with one struct command; main.c has the table of
 * them. Nothing is decided here: arguments become calls of the escrow, and what it says becomes
 * words.
 */

/* Exit statuses besides EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE 2

/* Secure memory for one command; one message at a time goes through it. */
#define CLI_HEAP (4 * 1024 * 1024)

/* Options of commands on a store. */
enum {
	TAKES_KEY = 1,	      /* --key URI, --passphrase-file FILE: it opens seals */
	TAKES_RECIPIENTS = 2, /* --recipients FILE: it seals */
	TAKES_DRY_RUN = 4,
	TAKES_SINCE = 8, /* --since CHECKPOINT */
	TAKES_JSON = 16,
};

struct command {
	const char *name;
	const char *arguments;		   /* "STORE DIR [-o OPTIONS]" */
	const char *summary;		   /* half a line for the list */
	const char *help;		   /* its options, whole lines */
	int takes;			   /* for cli_store_arguments(); 0: no options */
	int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit status */
};

extern const struct command cli_init, cli_mount, cli_import, cli_history, cli_restore, cli_rekey,
	cli_verify, cli_status, cli_purge, cli_export, cli_accept, cli_connect;

/* What a connection to the kernel is called that `connect` leaves with systemd for `mount`. */
#define CLI_CONNECTION "escrowfs"

/* Is it called as mount(8) calls its helpers: "/sbin/mount.fuse.escrowfs"? */
bool cli_is_mount_helper(const char *program);

/* Prints how a command is called; returns EXIT_SUCCESS. */
int cli_help(const struct command *);

/*
 * Says a sentence on standard error, "escrowfs: " before it; or prints one on standard output. Either
 * is one line, whatever the names of files in it hold: a control character becomes a '?'.
 */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong with the arguments; returns EXIT_USAGE. */
int cli_usage(const struct command *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Says what getopt_long(3) stopped at: `result` is '?' (an unknown option) or ':' (one without
 * its value). Call it before anything else looks at the arguments.
 */
int cli_bad_option(const struct command *, char **argv, int result);

/* Says fail_why() on standard error; returns EXIT_FAILURE. */
int cli_failed(void);

/* Who runs this process, for the trail. */
void cli_actor(struct actor *out);

/*
 * An absolute path, as far as there is one to find: a daemon leaves this directory. Freed by
 * the caller.
 */
char *cli_absolute(const char *path);
/* The same without a look at what is there, which may not answer. */
char *cli_absolute_unseen(const char *path);

/* ---- for the commands that work on a store ---- */

struct store_arguments {
	const char *store, *key_uri, *passphrase_file;
	bool no_key;  /* the command opens no seal */
	bool any_key; /* one that is none of the store's recipients is fine */
	bool dry_run; /* nothing is to be written */
	const char *recipients;
	const char *since; /* NULL: --since wasn't given */
	bool json;
	size_t heap; /* secure memory; 0: CLI_HEAP */
	char **rest; /* what follows STORE */
	int rest_count;
};

/*
 * Takes STORE and the options that the command has. Returns -1 to go on, or the exit status: help was asked for, or the arguments are
 * wrong. `rest`: how many arguments may follow STORE.
 */
int cli_store_arguments(const struct command *, int argc, char **argv, int rest_min, int rest_max,
			struct store_arguments *out);

/* Prepares secure memory and opens the store beside a mount, or without one. */
enum error cli_open(const struct store_arguments *, struct escrow **);

void escrow_scoped(struct escrow **); /* for SCOPED */

/* ---- for those that take long ---- */

/*
 * From now on a first SIGINT, SIGTERM or SIGHUP sets cli_stop: the batch at hand is finished, and
 * the command ends. A second one doesn't wait.
 */
void cli_catch_signals(void);
extern volatile sig_atomic_t cli_stop;

/* "s", or "" where there is one of it. */
const char *cli_plural(int64_t n);

#endif

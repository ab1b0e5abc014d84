/*
 * escrowfs mount, under each of the names that mounting has: the subcommand; what
 * mount.fuse3(8) runs (escrowfs STORE DIR -o ...); and mount(8)'s helper, mount.fuse.escrowfs.
 */
#include "background.h"
#include "cli.h"
#include "mount_options.h"

#include "fs.h"
#include "log.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/*
 * Secure memory. Root may lock what it likes; the usual limit of others is 8 MiB in all. A
 * check-in may take a megabyte, and two hundred devices may check in at once.
 */
#define HEAP (getuid() == 0 ? 16U * 1024 * 1024 : 4U * 1024 * 1024)

struct mounting {
	char *store, *point; /* absolute */
	struct mount_options options;
	bool foreground, debug;
	bool fake; /* mount -f: all but mounting */
	struct background background;
	bool has_key, ready;
};

static void mounting_free(struct mounting *mounting)
{
	free(mounting->store);
	free(mounting->point);
}

/* ---- arguments ---- */

enum { OPTION_DEBUG = 1 };

static const struct option options[] = {
	{"debug", no_argument, NULL, OPTION_DEBUG},
	{"help", no_argument, NULL, 'h'},
	{0},
};

bool cli_is_mount_helper(const char *program)
{
	const char *slash = strrchr(program, '/');
	return strncmp(slash ? slash + 1 : program, "mount.", strlen("mount.")) == 0;
}

static int check(const struct mounting *mounting)
{
	if (mounting->options.sealed && mounting->options.allow_other)
		return cli_usage(&cli_mount, "allow_other doesn't go with sealed: whoever may open "
					     "the store's files makes a sealed mount of their own");
	return -1;
}

/* -1: go on. -s may stand behind -o, so it is looked for first. */
static int parse(int argc, char **argv, struct mounting *mounting)
{
	bool sloppy = false;
	char *given[32];
	int count = 0;
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, ":o:t:fdhnsv", options, NULL)) != -1;) {
		switch (option) {
		case 'o':
			if (count == (int)(sizeof given / sizeof *given))
				return cli_usage(&cli_mount, "-o stands there too often");
			given[count++] = optarg;
			break;
		case 'f':
			/* mount(8) tells its helpers -f for "fake". */
			if (cli_is_mount_helper(argv[0]))
				mounting->fake = true;
			else
				mounting->foreground = true;
			break;
		case 'd':
		case OPTION_DEBUG:
			mounting->debug = mounting->foreground = true;
			break;
		case 's':
			sloppy = true;
			break;
		case 't': /* the type that fstab has, */
		case 'n': /* no /etc/mtab, */
		case 'v': /* and verbose: mount(8) hands them on */
			break;
		case 'h':
			return cli_help(&cli_mount);
		default:
			return cli_bad_option(&cli_mount, argv, option);
		}
	}
	for (int i = 0; i < count; i++)
		if (mount_options_read(given[i], sloppy, &mounting->options)) {
			cli_failed();
			return EXIT_USAGE;
		}
	/*
	 * `escrowfs STORE DIR` and `mount.fuse.escrowfs STORE DIR` alike: argv[0] is no
	 * argument.
	 */
	if (argc - optind < 2)
		return cli_usage(&cli_mount, "%s is missing", argc == optind ? "STORE" : "DIR");
	if (argc - optind > 2)
		return cli_usage(&cli_mount, "`%s` is too much", argv[optind + 2]);
	mounting->store = cli_absolute(argv[optind]);
	mounting->point = cli_absolute(argv[optind + 1]);
	return check(mounting);
}

/* ---- serving ---- */

static void on_ready(void *context)
{
	struct mounting *mounting = context;
	mounting->ready = true;
	background_ready(&mounting->background);
	if (!mounting->foreground)
		return;
	const char *without =
		mounting->has_key || mounting->options.sealed ? "" : " without a private key";
	log_say(LOG_LEVEL_INFO, "serving %s on %s%s", mounting->store, mounting->point, without);
	sd_notifyf(0, "READY=1\nSTATUS=Serving %s on %s%s", mounting->store, mounting->point,
		   without);
}

static enum error open_escrow(const struct mounting *mounting, struct escrow **out)
{
	char holder[PATH_MAX + 16];
	snprintf(holder, sizeof holder, "mounted on %s", mounting->point);
	const struct mount_options *given = &mounting->options;
	struct escrow_options how = {.store = mounting->store,
				     .mode = given->sealed ? ESCROW_SEALED : ESCROW_SERVE,
				     .holder = given->sealed ? NULL : holder,
				     .key_uri = given->key_uri,
				     .passphrase_file = given->passphrase_file,
				     .uid = getuid(),
				     .gid = getgid()};
	return escrow_open(&how, out);
}

/*
 * Root's mount is for others too: they are let in by owners, modes and ACLs, as on any
 * filesystem. Another user's is for that user, unless allow_other is asked for (and fuse.conf
 * has it).
 */
static bool others_enter(const struct mounting *mounting)
{
	return !mounting->options.sealed && (mounting->options.allow_other || getuid() == 0);
}

static enum error serve(struct mounting *mounting)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	umask(077);
	TRY(mounting->options.sealed ? secret_prepare_sealed(HEAP) : secret_prepare(HEAP));
	if (!secret_wipes_frees())
		log_say(LOG_LEVEL_INFO, "this is a build for tests: it doesn't wipe what it frees");
	TRY(open_escrow(mounting, &escrow));
	TRY(fs_mountpoint_check(mounting->point));
	mounting->has_key = escrow_has_key(escrow);
	struct fs_options how = {.source = mounting->store,
				 .mountpoint = mounting->point,
				 .threads = mounting->options.threads,
				 .allow_other = others_enter(mounting),
				 .read_only = mounting->options.read_only,
				 .debug = mounting->debug};
	TRY(fs_serve(escrow, &how, on_ready, mounting));
	if (mounting->foreground)
		sd_notify(0, "STOPPING=1\nSTATUS=Unmounted");
	return OK;
}

static int serve_to_the_end(struct mounting *mounting)
{
	if (!serve(mounting))
		return EXIT_SUCCESS;
	if (!mounting->ready)
		return cli_failed();
	log_say(LOG_LEVEL_ERROR, "%s: %s", mounting->point, fail_why());
	return EXIT_FAILURE;
}

static int run(int argc, char **argv)
{
	SCOPED(mounting_free) struct mounting mounting = {.background = {.parent = -1}};
	int status = parse(argc, argv, &mounting);
	if (status >= 0)
		return status;
	if (!mounting.store || !mounting.point) {
		fail(ERR_MEMORY, "out of memory");
		return cli_failed();
	}
	if (mounting.fake)
		return EXIT_SUCCESS;
	if (!mounting.foreground && !background_start(&mounting.background, &status))
		return status;
	return serve_to_the_end(&mounting);
}

static const char help[] = "\
  -o key=URI               the private key, when it isn't where the store\n\
                           remembers it\n\
  -o passphrase-file=FILE  the key's passphrase is the first line of FILE\n\
  -o sealed                read-only, each token as it is sealed: for backups;\n\
                           needs no key\n\
  -o ro                    read-only\n\
  -o threads=N             1 to 64 workers; 2 unless said otherwise\n\
  -o allow_other           other users may enter; root's mounts have it anyway\n\
  -f                       stay in the foreground and log to standard error\n\
  --debug                  -f, and every request\n";

const struct command cli_mount = {
	.name = "mount",
	.arguments = "STORE DIR [-o OPTIONS] [-f]",
	.summary = "shows a store's tokens as files in DIR",
	.help = help,
	.run = run,
};

/*
 * escrowfs mount, under each of the names that mounting has: the subcommand; what
 * mount.fuse3(8) runs (escrowfs STORE DIR -o ...); and mount(8)'s helper, mount.fuse.escrowfs.
 */
#include "background.h"
#include "cli.h"
#include "confine.h"
#include "keeper.h"
#include "mount_options.h"

#include "fs.h"
#include "log.h"
#include "path.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

/*
 * Secure memory. Root may lock what it likes, and others whom a unit lets (LimitMEMLOCK=); the usual
 * limit is 8 MiB in all. A check-in may take a megabyte, and two hundred devices may check in at once.
 */
#define HEAP ((size_t)16 * 1024 * 1024)
#define SMALL_HEAP ((size_t)4 * 1024 * 1024)

/* Bytes: what is larger goes back to the system when it is freed. */
#define LARGE (256 * 1024)

struct mounting {
	char *store, *point, *recipients; /* absolute; recipients NULL: none are named */
	const char *named;		  /* the store, as it was */
	struct mount_options options;
	bool foreground, debug;
	bool fake;	/* mount -f: all but mounting */
	int connection; /* somebody else has mounted, and passed it on; -1: not so */
	struct background background;
	struct keeper keeper;
	struct escrow *escrow; /* while it is open */
	bool ready;
};

static void mounting_free(struct mounting *mounting)
{
	free(mounting->store);
	free(mounting->point);
	free(mounting->recipients);
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
	if (mounting->options.sealed && mounting->options.max_retrievals)
		return cli_usage(&cli_mount, "max-retrievals doesn't go with sealed: no token is "
					     "retrieved there");
	if (mounting->options.sealed && mounting->options.recipients)
		return cli_usage(&cli_mount, "recipients doesn't go with sealed: nothing is "
					     "sealed anew there");
	if (mounting->options.sealed && mounting->options.strict_identity)
		return cli_usage(&cli_mount, "identity=strict doesn't go with sealed: no device "
					     "comes there");
	/* The kernel is the gate, and mount.fuse3(8) hands its own options on to us. */
	if (fs_mountpoint_passed(mounting->point) >= 0 && !mounting->options.sealed &&
	    !mounting->options.default_permissions)
		return cli_usage(&cli_mount,
				 "%s: whoever mounted this must have said -o "
				 "default_permissions, or modes would mean nothing",
				 mounting->point);
	return -1;
}

/*
 * Where it is mounted. What is mounted there already by another process (`escrowfs connect`) answers only
 * once it is served: nothing may look at it until then.
 */
static char *mount_point(const struct mounting *mounting, const char *named)
{
	return mounting->connection >= 0 ? cli_absolute_unseen(named) : cli_absolute(named);
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
	mounting->named = argv[optind];
	mounting->store = cli_absolute(argv[optind]);
	mounting->point = mount_point(mounting, argv[optind + 1]);
	if (mounting->options.recipients)
		mounting->recipients = cli_absolute(mounting->options.recipients);
	return check(mounting);
}

/* ---- serving ---- */

static const char *without_key(bool is_so)
{
	return is_so ? " without a private key" : "";
}

static enum note note_of(const struct mounting *mounting)
{
	return escrow_has_key(mounting->escrow) || mounting->options.sealed ? NOTE_PLAIN
									    : NOTE_NO_KEY;
}

/* ---- in the process that serves ---- */

static void on_ready(void *context)
{
	struct mounting *mounting = context;
	mounting->ready = true;
	if (!mounting->foreground)
		background_leave(&mounting->background);
	else
		log_say(LOG_LEVEL_INFO, "serving %s on %s%s", mounting->store, mounting->point,
			without_key(note_of(mounting) == NOTE_NO_KEY));
	handover_say(mounting->keeper.talk, WORD_SERVES, note_of(mounting));
}

/* The keeper opens what is to be read again; to be told so it hears of a signal that came here. */
static void on_hangup(void *context)
{
	const struct mounting *mounting = context;
	handover_say(mounting->keeper.talk, WORD_AGAIN, NOTE_PLAIN);
}

static bool on_files(void *context)
{
	struct mounting *mounting = context;
	SCOPED(handed_free) struct handed handed;
	if (!handover_take(mounting->keeper.talk, &handed))
		return false;
	enum error result = escrow_reload(mounting->escrow, handed.file);
	handover_say(mounting->keeper.talk, WORD_READ, result ? NOTE_NOT_ALL : note_of(mounting));
	return true;
}

/* They are looked for after this process and its parent have left the directory. */
static enum error make_absolute(char path[static PATH_MAX])
{
	char here[PATH_MAX], whole[2 * PATH_MAX];
	if (!*path || *path == '/' || !getcwd(here, sizeof here))
		return OK;
	int n = snprintf(whole, sizeof whole, "%s/%s", here, path);
	if (n >= PATH_MAX)
		return fail(ERR_INVALID, "%s: the path is too long", path);
	memcpy(path, whole, (size_t)n + 1);
	return OK;
}

static enum error tell_places(const struct mounting *mounting)
{
	struct escrow_places places;
	escrow_places(mounting->escrow, &places);
	for (int i = 0; i < ESCROW_FILES; i++)
		TRY(make_absolute(places.path[i]));
	return handover_say_places(mounting->keeper.talk, &places);
}

/* ---- in the keeper, whom systemd started ---- */

static void tell_systemd(const struct mounting *mounting, enum note note)
{
	sd_notifyf(0, "READY=1\nSTATUS=Serving %s on %s%s%s", mounting->store, mounting->point,
		   without_key(note == NOTE_NO_KEY),
		   note == NOTE_NOT_ALL ? "; not all could be read again, the log says what" : "");
}

static void on_served(void *context, enum note note)
{
	struct mounting *mounting = context;
	if (mounting->foreground) {
		tell_systemd(mounting, note);
		return;
	}
	background_leave(&mounting->background);
	background_ready(&mounting->background);
}

static void on_rereading(void *context)
{
	const struct mounting *mounting = context;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (mounting->foreground)
		sd_notifyf(0,
			   "RELOADING=1\nMONOTONIC_USEC=%" PRIu64
			   "\nSTATUS=Reading keys and certificates again",
			   (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static void on_reread(void *context, enum note note)
{
	const struct mounting *mounting = context;
	if (mounting->foreground)
		tell_systemd(mounting, note);
}

/* ---- serving ---- */

/* Mounted, and not served yet. */
static enum error on_mounted(void *context)
{
	struct mounting *mounting = context;
	struct confinement wanted = {.store = mounting->store,
				     .recipients = mounting->recipients,
				     .reads = mounting->options.sealed,
				     .to_syslog = !mounting->foreground,
				     .has_provider = escrow_key_is_foreign(mounting->escrow)};
	TRY(tell_places(mounting));
	TRY(confine_user(&wanted, mounting->options.user));
	return confine_serving(&wanted);
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
				     .gid = getgid(),
				     .recipients = mounting->recipients,
				     .strict_identity = given->strict_identity,
				     .retrievals_an_hour = (uint32_t)given->max_retrievals};
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

/*
 * As the C library has it, each thread gets a heap of its own, and what was large once is kept for the
 * next time. A mount has many threads that do little, and seldom a large message.
 */
static void keep_memory_small(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, LARGE);
}

static size_t heap(void)
{
	struct rlimit limit = {0};
	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	return getuid() == 0 || limit.rlim_max == RLIM_INFINITY ? HEAP : SMALL_HEAP;
}

static enum error serve(struct mounting *mounting)
{
	SCOPED(escrow_scoped) struct escrow *escrow = NULL;
	umask(077);
	keep_memory_small();
	TRY(mounting->options.sealed ? secret_prepare_sealed(heap()) : secret_prepare(heap()));
	if (!secret_wipes_frees())
		log_say(LOG_LEVEL_INFO, "this is a build for tests: it doesn't wipe what it frees");
	/* Links that lead to these two are gone from their paths by now. */
	TRY(path_check_links(mounting->named));
	if (mounting->recipients)
		TRY(fail_named(path_check_links(mounting->options.recipients),
			       "recipients=", mounting->options.recipients));
	TRY(open_escrow(mounting, &escrow));
	if (mounting->connection < 0)
		TRY(fs_mountpoint_check(mounting->point));
	mounting->escrow = escrow;
	struct fs_options how = {.source = mounting->store,
				 .mountpoint = mounting->point,
				 .connection = mounting->connection,
				 .wake_fd = mounting->keeper.talk,
				 .wake = on_files,
				 .hung_up = on_hangup,
				 .threads = mounting->options.threads,
				 .allow_other = others_enter(mounting),
				 .read_only = mounting->options.read_only,
				 .debug = mounting->debug,
				 .end_fd = mounting->keeper.end,
				 .confine = on_mounted};
	return fs_serve(escrow, &how, on_ready, mounting);
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

/* The connection that `escrowfs connect` left with systemd, which keeps it for nobody else from now on. */
static int connection_from_systemd(void)
{
	char **names = NULL;
	int found = -1, count = sd_listen_fds_with_names(1, &names);
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], CLI_CONNECTION) == 0)
			found = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	free(names);
	if (found >= 0)
		sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" CLI_CONNECTION);
	return found;
}

static int run(int argc, char **argv)
{
	SCOPED(mounting_free)
	struct mounting mounting = {.background = {.parent = -1},
				    .connection = connection_from_systemd(),
				    .keeper = {.on_ready = on_served,
					       .on_rereading = on_rereading,
					       .on_reread = on_reread}};
	int status = parse(argc, argv, &mounting);
	if (status >= 0)
		return status;
	if (!mounting.store || !mounting.point ||
	    (mounting.options.recipients && !mounting.recipients)) {
		fail(ERR_MEMORY, "out of memory");
		return cli_failed();
	}
	if (mounting.fake)
		return EXIT_SUCCESS;
	if (mounting.connection < 0)
		mounting.connection = fs_mountpoint_passed(mounting.point);
	if (!mounting.foreground && !background_start(&mounting.background, &status))
		return status;
	mounting.keeper.mountpoint = mounting.point;
	mounting.keeper.connection = mounting.connection;
	mounting.keeper.context = &mounting;
	if (keeper_start(&mounting.keeper, &status)) {
		background_forget(&mounting.background);
		if (mounting.connection >= 0)
			background_keep(&mounting.background, mounting.connection);
		return serve_to_the_end(&mounting);
	}
	if (mounting.foreground && status == EXIT_SUCCESS)
		sd_notify(0, "STOPPING=1\nSTATUS=Unmounted");
	return status;
}

static const char help[] = "\
  -o key=URI               the private key, when it isn't where the store\n\
                           remembers it\n\
  -o passphrase-file=FILE  the key's passphrase is the first line of FILE\n\
  -o sealed                read-only, each token as it is sealed: for backups;\n\
                           needs no key\n\
  -o ro                    read-only\n\
  -o threads=N             so many requests at a time, 1 to 64, besides those\n\
                           that wait for the disk; 2 unless said otherwise\n\
  -o recipients=FILE       seal to the certificates in FILE, in PEM, and refuse a\n\
                           store that has others\n\
  -o identity=strict       a device that comes with another client certificate\n\
                           than before gets no token until it escrows, or\n\
                           `escrowfs accept` accepts that\n\
  -o max-retrievals=N/h    no more than N tokens are retrieved within an hour,\n\
                           whoever asks; any number unless said otherwise\n\
  -o allow_other           other users may enter; root's mounts have it anyway\n\
  -o setuid=USER           serve with the rights of this user, whose store it\n\
                           is; with those of the store's owner otherwise\n\
  -f                       stay in the foreground and log to standard error\n\
  --debug                  -f, and every request\n";

const struct command cli_mount = {
	.name = "mount",
	.arguments = "STORE DIR [-o OPTIONS] [-f]",
	.summary = "shows a store's tokens as files in DIR",
	.help = help,
	.run = run,
};

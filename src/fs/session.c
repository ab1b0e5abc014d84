/*
 * The mount: from mounting to unmounting. There are workers, each with one buffer (workers.c); the
 * thread that tells the kernel of changes (changes.c); and the caller, who waits for the end.
 *
 * The end comes by a signal, or because somebody unmounted. Until then the caller does what else there
 * is to be done on a signal, which changes nothing for the workers. A worker sleeps in read(2) on
 * /dev/fuse, which only a request, an unmount or a signal to that very thread interrupts, and no
 * flag that is set beforehand is seen by one who is just falling asleep. So each worker is sent a
 * signal until it has ended. The order at the end: first the answers that wait (workers still
 * run, for the telling may wait for a read to be answered), then the workers, then the connection.
 * Descriptors that are still open get ENOTCONN, and what was gathered for them is wiped.
 *
 * Mounting takes rights that serving doesn't: in between the caller gives them up (confine), before
 * there is any other thread. So nothing is unmounted here: what is left is a dead mount, for whoever
 * still may (fs_mountpoint_clear()).
 */
#include "changes.h"
#include "handle.h"
#include "known.h"
#include "workers.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2
/* A message in one piece: a refused second piece would be a short write. */
#define MAX_WRITE (1024 * 1024)

/* ---- what the kernel and we agree on ---- */

static void op_init(void *context, struct fuse_conn_info *connection)
{
	struct fs *fs = context;
	fs->greeted = true;
	/*
	 * Attributes are looked at before each read of a kept file, and a new mtime drops its
	 * pages: a second net under changes.c. Small directories are read with attributes, large
	 * ones when the reader asks for them (READDIRPLUS_AUTO): a plain `ls` of 100,000 devices
	 * needs none.
	 */
	connection->want |= FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
			    FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
			    FUSE_CAP_READDIRPLUS_AUTO;
	/*
	 * A sealed mount is there to be walked through as a whole, and its links stay as they are. Nobody
	 * is asked at open there, so nothing is truncated then.
	 */
	if (fs->sealed) {
		connection->want &=
			~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS_AUTO);
		connection->want |= FUSE_CAP_CACHE_SYMLINKS;
		fs->spared = connection->capable & FUSE_CAP_NO_OPEN_SUPPORT &&
			     connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
	} else {
		connection->want |= FUSE_CAP_POSIX_ACL;
	}
	/* No pipes and no buffers but those that are wiped; writes in order, and at once. */
	connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
					FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
					FUSE_CAP_ASYNC_DIO | FUSE_CAP_EXPLICIT_INVAL_DATA);
	connection->want &= connection->capable;
	connection->max_write = MAX_WRITE;
	if (!fs->sealed && !(connection->capable & FUSE_CAP_POSIX_ACL))
		log_say(LOG_LEVEL_WARNING,
			"this kernel's FUSE has no POSIX ACLs: setfacl won't work");
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.readlink = op_readlink,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.getxattr = op_getxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.listxattr = op_listxattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsync,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.mknod = op_mknod,
	.create = op_create,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rename = op_rename,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.statfs = op_statfs,
	.access = op_access,
};

__attribute__((format(printf, 2, 0))) static void log_fuse(enum fuse_log_level level,
							   const char *format, va_list arguments)
{
	char line[512];
	vsnprintf(line, sizeof line, format, arguments);
	line[strcspn(line, "\n")] = 0;
	log_say(level <= FUSE_LOG_ERR	    ? LOG_LEVEL_ERROR
		: level <= FUSE_LOG_WARNING ? LOG_LEVEL_WARNING
					    : LOG_LEVEL_INFO,
		"%s", line);
}

/*
 * A sealed mount leaves out default_permissions: its modes are for the restore, and nobody else
 * enters.
 */
static enum error new_session(struct fs *fs)
{
	const struct fs_options *options = fs->options;
	SCOPED(fuse_opt_free_args) struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char source[STORE_URI_MAX + 16], *mount_options = NULL;
	snprintf(source, sizeof source, "fsname=%s", options->source);
	bool read_only = options->read_only || fs->sealed;
	bool added =
		fuse_opt_add_opt(&mount_options, "nodev,nosuid,noexec,subtype=escrowfs") == 0 &&
		fuse_opt_add_opt_escaped(&mount_options, source) == 0 &&
		(!read_only || fuse_opt_add_opt(&mount_options, "ro") == 0) &&
		(fs->sealed || fuse_opt_add_opt(&mount_options, "default_permissions") == 0) &&
		(fs->sealed || !options->allow_other ||
		 fuse_opt_add_opt(&mount_options, "allow_other") == 0) &&
		fuse_opt_add_arg(&args, "escrowfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
		fuse_opt_add_arg(&args, mount_options) == 0 &&
		(!options->debug || fuse_opt_add_arg(&args, "-d") == 0);
	free(mount_options);
	if (added)
		fs->session = fuse_session_new(&args, &operations, sizeof operations, fs);
	if (!fs->session)
		return fail(ERR_MEMORY, "libfuse can't make a session");
	return OK;
}

/*
 * Ends the connection, and has libfuse forget where it was mounted. It does so only by unmounting, which
 * this process may not any more; but not where it finds a connection in error, for then somebody else
 * has unmounted. So it finds a pipe that nobody reads.
 */
static void end_connection(struct fs *fs)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return; /* it ends with the process */
	close(ends[0]);
	dup3(ends[1], fuse_session_fd(fs->session), O_CLOEXEC);
	close(ends[1]);
	fuse_session_unmount(fs->session);
}

/* ---- signals ---- */

/* All that a signal handler can reach. */
static int end_fd = -1, hangup_fd = -1;

static void announce(int fd)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t written = write(fd, &one, sizeof one);
	(void)written;
	errno = saved;
}

static void announce_end(void)
{
	announce(end_fd);
}

static void on_end(int signal_number)
{
	(void)signal_number;
	announce(end_fd);
}

static void on_hangup(int signal_number)
{
	(void)signal_number;
	announce(hangup_fd);
}

/* Does nothing but interrupt a worker's read. */
static void on_nudge(int signal_number)
{
	(void)signal_number;
}

static const struct {
	void (*handler)(int);
	int number, flags;
} signals[] = {
	{on_end, SIGTERM, SA_RESTART},	 {on_end, SIGINT, SA_RESTART},
	{on_hangup, SIGHUP, SA_RESTART}, {SIG_IGN, SIGPIPE, 0},
	{on_nudge, SIGUSR1, 0},
};
#define SIGNALS ((int)(sizeof signals / sizeof *signals))

static void catch_signals(struct sigaction before[static SIGNALS])
{
	for (int i = 0; i < SIGNALS; i++) {
		struct sigaction action = {.sa_handler = signals[i].handler,
					   .sa_flags = signals[i].flags};
		sigaction(signals[i].number, &action, &before[i]);
	}
}

/* Who ends the mount a second time mustn't cut short what is left to be closed. */
static void restore_signals(const struct sigaction before[static SIGNALS])
{
	static const struct sigaction ignored = {.sa_handler = SIG_IGN};
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i].number, signals[i].handler == on_end ? &ignored : &before[i],
			  NULL);
}

/* ---- from mount to unmount ---- */

static void hung_up(const struct fs_options *options, void *context)
{
	uint64_t times;
	if (read(hangup_fd, &times, sizeof times) > 0 && options->hung_up)
		options->hung_up(context);
}

static void wait_for_end(const struct fs_options *options, void *context)
{
	struct pollfd on[] = {{.fd = end_fd, .events = POLLIN},
			      {.fd = options->end_fd, .events = POLLIN},
			      {.fd = hangup_fd, .events = POLLIN},
			      {.fd = options->wake_fd, .events = POLLIN}};
	for (;;) {
		int n = poll(on, sizeof on / sizeof *on, -1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || on[0].revents || on[1].revents)
			return;
		if (on[2].revents)
			hung_up(options, context);
		if (on[3].revents && !options->wake(context))
			on[3].fd = -1;
	}
}

static enum error serve(struct fs *fs, void (*ready)(void *), void *context)
{
	TRY(workers_greet(fs->workers));
	TRY(changes_start(fs->changes));
	enum error result = workers_start(fs->workers);
	if (!result) {
		if (ready)
			ready(context);
		wait_for_end(fs->options, context);
	}
	changes_stop(fs->changes);
	fuse_session_exit(fs->session);
	workers_end(fs->workers);
	return result;
}

static enum error mount_and_serve(struct fs *fs, void (*ready)(void *), void *context)
{
	const char *where = fs->options->mountpoint;
	struct actor actor;
	actor_self(&actor);
	TRY(known_new(&fs->known));
	TRY(plain_words_new(fs));
	int threads = fs->options->threads;
	TRY(workers_new(fs, threads ? threads : WORKERS, announce_end, &fs->workers));
	escrow_on_wait(fs->escrow, workers_step_aside, fs->workers);
	TRY(changes_new(fs, &fs->changes));
	TRY(new_session(fs));
	char passed[32];
	snprintf(passed, sizeof passed, "/dev/fd/%d", fs->options->connection);
	if (fuse_session_mount(fs->session, fs->options->connection < 0 ? where : passed) != 0)
		return fail(ERR_ACCESS,
			    "%s: it can't be mounted; see the message above, and whether /dev/fuse "
			    "is there and fusermount3 installed",
			    where);
	enum error result = escrow_mounted(fs->escrow, &actor, where);
	escrow_rest(fs->escrow);
	if (!result && fs->options->confine)
		result = fs->options->confine(context);
	if (!result)
		result = escrow_start(fs->escrow);
	if (!result)
		result = serve(fs, ready, context);
	end_connection(fs);
	handle_free_all(fs);
	metrics_forget_all(fs);
	if (!result)
		result = escrow_unmounted(fs->escrow, &actor, where);
	return result;
}

enum error fs_serve(struct escrow *escrow, const struct fs_options *options, void (*ready)(void *),
		    void *context)
{
	struct fs fs = {.escrow = escrow,
			.options = options,
			.sealed = escrow_sealed(escrow),
			.born_at = escrow_born_at(escrow)};
	end_fd = eventfd(0, EFD_CLOEXEC);
	hangup_fd = eventfd(0, EFD_CLOEXEC);
	if (end_fd < 0 || hangup_fd < 0) {
		close(end_fd);
		return fail(ERR_MEMORY, "no eventfd: %s", strerror(errno));
	}
	pthread_mutex_init(&fs.mutex, NULL);
	struct sigaction before[SIGNALS];
	catch_signals(before);
	fuse_set_log_func(log_fuse);

	enum error result = mount_and_serve(&fs, ready, context);

	if (fs.session)
		fuse_session_destroy(fs.session);
	changes_free(fs.changes);
	known_free(fs.known);
	plain_words_free(&fs);
	escrow_on_wait(escrow, NULL, NULL);
	workers_free(fs.workers);
	fuse_set_log_func(NULL);
	restore_signals(before);
	pthread_mutex_destroy(&fs.mutex);
	close(end_fd);
	close(hangup_fd);
	return result;
}

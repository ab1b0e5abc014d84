/*
 * The mount: from mounting to unmounting. A fixed number of workers, each with one buffer; the
 * thread that tells the kernel of changes (changes.c); and the caller, who waits for the end.
 *
 * The end comes by a signal, or because somebody unmounted. A worker sleeps in read(2) on
 * /dev/fuse, which only a request, an unmount or a signal to that very thread interrupts, and no
 * flag that is set beforehand is seen by one who is just falling asleep. So each worker is sent a
 * signal until it has ended. The order at the end: first the answers that wait (workers still
 * run, for the telling may wait for a read to be answered), then the workers, then the mount.
 * Descriptors that are still open get ENOTCONN, and what was gathered for them is wiped.
 */
#include "changes.h"
#include "handle.h"
#include "mountpoint.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2
#define WORKERS_MAX 64
#define STACK (1024 * 1024)
#define MAX_WRITE                                                                                  \
	(1024 * 1024)  /* a message in one piece: a refused second piece would be a short write */
#define NUDGE 10000000 /* ns between signals to a worker that is to end */

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
	if (!fs->sealed)
		connection->want |= FUSE_CAP_POSIX_ACL;
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

/* ---- signals ---- */

/* All that a signal handler can reach. */
static int end_fd = -1;

static void announce_end(void)
{
	uint64_t one = 1;
	ssize_t written = write(end_fd, &one, sizeof one);
	(void)written;
}

static void on_end(int signal_number)
{
	(void)signal_number;
	int saved = errno;
	announce_end();
	errno = saved;
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
	{on_end, SIGTERM, SA_RESTART}, {on_end, SIGINT, SA_RESTART}, {on_end, SIGHUP, SA_RESTART},
	{SIG_IGN, SIGPIPE, 0},	       {on_nudge, SIGUSR1, 0},
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

static void restore_signals(const struct sigaction before[static SIGNALS])
{
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i].number, &before[i], NULL);
}

/* ---- workers ---- */

/* False: the mount has ended. */
static bool serve_one(struct fs *fs, struct fuse_buf *buffer)
{
	int n = fuse_session_receive_buf(fs->session, buffer);
	if (n == -EINTR || n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	fuse_session_process_buf(fs->session, buffer);
	return true;
}

static void *work(void *context)
{
	struct fs *fs = context;
	struct fuse_buf buffer = {.mem = NULL};
	while (!fuse_session_exited(fs->session) && serve_one(fs, &buffer))
		;
	free(buffer.mem);
	announce_end();
	return NULL;
}

static int start_workers(struct fs *fs, pthread_t *workers, int wanted)
{
	int started = 0;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	while (started < wanted && pthread_create(&workers[started], &attributes, work, fs) == 0)
		started++;
	pthread_attr_destroy(&attributes);
	return started;
}

static void end_worker(pthread_t worker)
{
	struct timespec until;
	do {
		pthread_kill(worker, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += NUDGE;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(worker, NULL, &until) == ETIMEDOUT);
}

/* ---- from mount to unmount ---- */

/* The first request settles what the kernel and we agree on; no other is answered before it. */
static enum error greet(struct fs *fs)
{
	struct fuse_buf buffer = {.mem = NULL};
	while (serve_one(fs, &buffer) && !fs->greeted)
		;
	free(buffer.mem);
	return fs->greeted ? OK : fail(ERR_IO, "the kernel doesn't talk to us over /dev/fuse");
}

static enum error serve(struct fs *fs, void (*ready)(void *), void *context)
{
	int wanted = fs->options->threads > 0 ? fs->options->threads : WORKERS;
	pthread_t workers[WORKERS_MAX];
	if (wanted > WORKERS_MAX)
		return fail(ERR_INVALID, "%d threads: at most %d", wanted, WORKERS_MAX);
	TRY(greet(fs));
	TRY(changes_start(fs->changes));
	int started = start_workers(fs, workers, wanted);
	enum error result = OK;
	if (started < wanted) {
		result = fail(ERR_MEMORY, "only %d of %d threads can be started", started, wanted);
	} else {
		if (ready)
			ready(context);
		struct pollfd end = {.fd = end_fd, .events = POLLIN};
		while (poll(&end, 1, -1) < 0 && errno == EINTR)
			;
	}
	changes_stop(fs->changes);
	fuse_session_exit(fs->session);
	for (int i = 0; i < started; i++)
		end_worker(workers[i]);
	return result;
}

static enum error mount_and_serve(struct fs *fs, void (*ready)(void *), void *context)
{
	const char *where = fs->options->mountpoint;
	struct actor actor;
	actor_self(&actor);
	TRY(changes_new(fs, &fs->changes));
	TRY(new_session(fs));
	if (fuse_session_mount(fs->session, where) != 0)
		return fail(ERR_ACCESS,
			    "%s: it can't be mounted; see the message above, and whether /dev/fuse "
			    "is there and fusermount3 installed",
			    where);
	enum error result = escrow_mounted(fs->escrow, &actor, where);
	if (!result)
		result = serve(fs, ready, context);
	fuse_session_unmount(fs->session);
	mountpoint_clear(where);
	handle_free_all(fs);
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
	if (end_fd < 0)
		return fail(ERR_MEMORY, "no eventfd: %s", strerror(errno));
	pthread_mutex_init(&fs.mutex, NULL);
	struct sigaction before[SIGNALS];
	catch_signals(before);
	fuse_set_log_func(log_fuse);

	enum error result = mount_and_serve(&fs, ready, context);

	if (fs.session)
		fuse_session_destroy(fs.session);
	changes_free(fs.changes);
	fuse_set_log_func(NULL);
	restore_signals(before);
	pthread_mutex_destroy(&fs.mutex);
	close(end_fd);
	return result;
}

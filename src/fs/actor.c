/*
 * Who asks. The kernel gives a thread's number and its user; the trail wants the process and who
 * logged in.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNSET_LOGINUID UINT32_MAX

/* The start of /proc/PID/NAME as text; "" when it can't be read: the process may be gone. */
static void proc_read(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
	out[0] = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = 0;
}

static bool is_ours;

static void look_whose(void)
{
	char self[24];
	ssize_t n = readlink("/proc/self", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	is_ours = strtol(self, NULL, 10) == getpid();
}

/*
 * In a PID namespace of our own, with the /proc of another one, a process's number is a stranger's
 * there.
 */
static bool proc_is_ours(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, look_whose);
	return is_ours;
}

static bool is_thread_of(pid_t process, pid_t thread)
{
	return tgkill(process, thread, 0) == 0 || errno == EPERM;
}

/*
 * The process of a thread: itself when /proc doesn't say. What /proc says is long, and most threads that
 * ask are the first of their process, or of the same process as the last one that wasn't, a server's:
 * the kernel is asked whether they are.
 */
static pid_t process_of(pid_t thread)
{
	static _Atomic pid_t last;
	pid_t process = atomic_load(&last);
	if (is_thread_of(thread, thread) || !proc_is_ours())
		return thread;
	if (process && is_thread_of(process, thread))
		return process;
	char status[512];
	proc_read(thread, "status", status, sizeof status);
	const char *line = strstr(status, "\nTgid:");
	if (!line)
		return thread;
	process = (pid_t)strtol(line + strlen("\nTgid:"), NULL, 10);
	atomic_store(&last, process);
	return process;
}

static void look_up(pid_t process, struct actor *out)
{
	out->pid = (int32_t)process;
	if (!proc_is_ours())
		return;
	char loginuid[24];
	proc_read(process, "loginuid", loginuid, sizeof loginuid);
	char *end;
	unsigned long value = strtoul(loginuid, &end, 10);
	out->loginuid = end == loginuid || value == UNSET_LOGINUID ? -1 : (int64_t)value;

	proc_read(process, "comm", out->command, sizeof out->command);
	char *newline = strrchr(out->command, '\n');
	if (newline)
		*newline = 0;
}

void actor_of(fuse_req_t req, struct actor *out)
{
	const struct fuse_ctx *context = fuse_req_ctx(req);
	*out = (struct actor){.uid = context->uid, .gid = context->gid, .loginuid = -1};
	/*
	 * 0: it lies in another PID namespace, and /proc would say nothing or a stranger's name.
	 */
	if (context->pid)
		look_up(process_of(context->pid), out);
}

const struct actor *actor_if_it_matters(fuse_req_t req, struct writer *writer, struct actor *room)
{
	if (!writer_gathers(writer))
		return NULL;
	actor_of(req, room);
	return room;
}

void actor_self(struct actor *out)
{
	*out = (struct actor){.uid = getuid(), .gid = getgid(), .loginuid = -1};
	look_up(getpid(), out);
}

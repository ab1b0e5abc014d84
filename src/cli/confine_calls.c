/*
 * System calls: the ones that a process needs, by name, and no others.
 *
 * A call that isn't on the list answers ENOSYS, and the process lives. To kill it would stop people's
 * logins because a library's next version asks for something new; libraries know what to do without a
 * call that a kernel doesn't have; and whoever took the process over gains nothing by an errno. The
 * kernel writes a line to its log for each (audit, type 1326), which that one can't prevent.
 *
 * Where a call is needed for one purpose only, its arguments are looked at: threads but no processes,
 * signals to itself only (and signal 0, which asks whether somebody is there), no memory that can be
 * run as code, of sockets only those that syslog(3) needs. clone3(2) keeps its arguments in memory,
 * where a filter can't look: the C library takes clone(2) instead. It always asks for clone3 first, so
 * that answer, from a filter of its own, isn't written to the log.
 */
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

#define SOCKET_TYPE 0xf

/* What any process of ours does. */
static const int common[] = {
	/* memory */
	CALL(brk),
	CALL(madvise),
	CALL(munmap),
	CALL(mremap),
	CALL(munlock),
	/* time, threads, signals */
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
	CALL(nanosleep),
	CALL(gettimeofday),
	CALL(time),
	CALL(futex),
	CALL(futex_waitv),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(restart_syscall),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigreturn),
	CALL(sigaltstack),
	CALL(getpid),
	CALL(gettid),
	CALL(getppid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(getrandom),
	CALL(uname),
	CALL(sysinfo),
	CALL(exit),
	CALL(exit_group),
	/* what is open, and files */
	CALL(read),
	CALL(readv),
	CALL(write),
	CALL(writev),
	CALL(lseek),
	CALL(_llseek),
	CALL(close),
	CALL(close_range),
	CALL(fcntl),
	CALL(fcntl64),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(poll),
	CALL(ppoll),
	CALL(open),
	CALL(openat),
	CALL(openat2),
	CALL(stat),
	CALL(stat64),
	CALL(lstat),
	CALL(lstat64),
	CALL(fstat),
	CALL(fstat64),
	CALL(fstatat64),
	CALL(newfstatat),
	CALL(statx),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getcwd),
	CALL(chdir),
	CALL(umask),
	CALL(setsid),
	CALL(sendto),
	CALL(sendmsg),
	CALL(getsockopt),
};

/* SQLite's work, and libfuse's. */
static const int serving[] = {
	CALL(pread64),	  CALL(pwrite64),
	CALL(preadv),	  CALL(pwritev),
	CALL(fsync),	  CALL(fdatasync),
	CALL(ftruncate),  CALL(ftruncate64),
	CALL(fallocate),  CALL(unlink),
	CALL(unlinkat),	  CALL(flock),
	CALL(pipe2),	  CALL(fchmod),
	CALL(fchown),	  CALL(fchown32),
	CALL(statfs),	  CALL(statfs64),
	CALL(fstatfs),	  CALL(fstatfs64),
	CALL(getdents64), CALL(recvmsg) /* files from the keeper */,
};

/* To wait, to unmount, to tell systemd. */
static const int keeping[] = {
	CALL(wait4),  CALL(waitid),  CALL(kill),       CALL(tgkill),	 CALL(umount2),
	CALL(socket), CALL(connect), CALL(setsockopt), CALL(getdents64),
};

/* What the provider of a key may do: talk to a chip or a daemon, keep files. */
static const int providing[] = {
	CALL(socket),	CALL(socketpair),    CALL(connect),	CALL(recvfrom),	  CALL(recvmsg),
	CALL(shutdown), CALL(getsockname),   CALL(getpeername), CALL(setsockopt), CALL(select),
	CALL(pselect6), CALL(epoll_create1), CALL(epoll_ctl),	CALL(epoll_wait), CALL(epoll_pwait),
	CALL(eventfd2), CALL(pipe),	     CALL(pipe2),	CALL(ioctl),	  CALL(mmap),
	CALL(mmap2),	CALL(mprotect),	     CALL(mlock),	CALL(mlock2),	  CALL(rename),
	CALL(renameat), CALL(renameat2),     CALL(mkdir),	CALL(mkdirat),	  CALL(rmdir),
	CALL(tgkill),	CALL(prlimit64),
};

/* Sanitizers and valgrind: confine.h. */
static const int tooling[] = {
	CALL(mmap),
	CALL(mprotect),
	CALL(mlock),
	CALL(mlock2),
	CALL(clone),
	CALL(clone3),
	CALL(fork),
	CALL(vfork),
	CALL(ptrace),
	CALL(prctl),
	CALL(wait4),
	CALL(waitid),
	CALL(kill),
	CALL(tkill),
	CALL(tgkill),
	CALL(getdents),
	CALL(getdents64),
	CALL(pipe),
	CALL(pipe2),
	CALL(prlimit64),
	CALL(getrlimit),
	CALL(setrlimit),
	CALL(personality),
	CALL(process_vm_readv),
	CALL(arch_prctl),
	CALL(set_tid_address),
	CALL(rt_sigtimedwait),
	CALL(rt_sigpending),
	CALL(rt_sigsuspend),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(sched_setaffinity),
	CALL(rename),
	CALL(unlink),
	CALL(mkdir),
	CALL(ioctl),
	CALL(pread64),
	CALL(pwrite64),
	CALL(times),
	CALL(getrusage),
	CALL(mincore),
	CALL(msync),
	CALL(membarrier),
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void release(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}

static enum error failed(int code)
{
	return fail(ERR_ACCESS,
		    "seccomp: the list of system calls can't be put in place: %s (a kernel without "
		    "CONFIG_SECCOMP_FILTER isn't supported)",
		    strerror(-code));
}

/* A call that this processor doesn't have is passed over. */
static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (code != 0 && code != -EDOM && code != -EEXIST)
			return code;
	}
	return 0;
}

/* A call with an argument that, under a mask, has a value. */
static int allow_when(scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask,
		      uint64_t value)
{
	int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
				    SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value));
	return code == -EDOM ? 0 : code;
}

static int allow_in_part(scmp_filter_ctx filter, const struct confinement *wanted)
{
	const uint64_t all = UINT64_MAX;
	int code = allow_when(filter, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
	if (!code)
		code = allow_when(filter, CALL(prctl), 0, all, PR_SET_NAME);
	if (!code)
		code = allow_when(filter, CALL(mmap), 2, PROT_EXEC, 0);
	if (!code)
		code = allow_when(filter, CALL(mmap2), 2, PROT_EXEC, 0);
	if (!code)
		code = allow_when(filter, CALL(mprotect), 2, PROT_EXEC, 0);
	if (!code)
		code = allow_when(filter, CALL(prlimit64), 2, all, 0);
	if (!code)
		code = allow_when(filter, CALL(tgkill), 2, all, 0);
	if (!code)
		code = allow_when(filter, CALL(tgkill), 0, all, (uint64_t)getpid());
	if (!code && wanted && wanted->to_syslog) {
		code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2,
					SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
					SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, SOCK_DGRAM));
		if (!code)
			code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(connect), 0);
	}
	return code;
}

static enum error load_quiet(void)
{
	SCOPED(release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return fail(ERR_MEMORY, "out of memory");
	int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	if (!code)
		code = seccomp_load(filter);
	return code ? failed(code) : OK;
}

/* wanted: NULL for the keeper. */
static enum error load(const struct confinement *wanted)
{
	SCOPED(release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return fail(ERR_MEMORY, "out of memory");
	int code = allow(filter, common, COUNT(common));
	if (!code)
		code = wanted ? allow(filter, serving, COUNT(serving))
			      : allow(filter, keeping, COUNT(keeping));
	if (!code && wanted && wanted->has_provider)
		code = allow(filter, providing, COUNT(providing));
	if (!code && CONFINE_FOR_TOOLS)
		code = allow(filter, tooling, COUNT(tooling));
	if (!code)
		code = allow_in_part(filter, wanted);
	if (!code)
		code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone3), 0);
	if (code == -EEXIST)
		code = 0;
	/* A kernel without that log does without. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (!code)
		code = seccomp_load(filter);
	return code ? failed(code) : OK;
}

enum error confine_calls_serving(const struct confinement *wanted)
{
	if (!CONFINE_FOR_TOOLS)
		TRY(load_quiet());
	return load(wanted);
}

enum error confine_calls_keeper(void)
{
	if (!CONFINE_FOR_TOOLS)
		TRY(load_quiet());
	return load(NULL);
}

/*
 * Somebody who has taken the daemon over: linked to the very objects that are shipped (make attacked),
 * it waits for SIGUSR2 and then tries, on the thread that gets it, what such a one would. Each try is
 * a line "THREAD NAME ERRNO" in the file $ATTACK_LOG, or "done" where it should have failed.
 *
 * What it tries to read is in $ATTACK_FILES, separated by ':'. What it tries to change is in the
 * directory $ATTACK_VICTIM, which has a file `file`: where it succeeds nothing else is harmed. The
 * process whose child the daemon is is tried as a victim, too. With $ATTACK_AT_ONCE it doesn't wait, to
 * show what comes of some of it in a process that isn't confined.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 8

static int report = -1;
static char *files[FILES_MAX];
static char victim[256], victim_file[300], another[300];
static char mine[64];

static void say(const char *name, long result)
{
	char line[512];
	int n = snprintf(line, sizeof line, "%ld %s %s\n", (long)syscall(SYS_gettid), name,
			 result < 0 ? strerrorname_np(errno) : "done");
	ssize_t written = write(report, line, (size_t)n);
	(void)written;
}

/* A file that is opened isn't left open: there are many threads. */
static void say_opened(const char *name, long fd)
{
	say(name, fd);
	if (fd >= 0)
		close((int)fd);
}

static void try_files(void)
{
	char path[64], name[256];
	for (int i = 0; i < FILES_MAX && files[i]; i++) {
		snprintf(name, sizeof name, "open:%s", files[i]);
		say_opened(name, open(files[i], O_RDONLY | O_CLOEXEC));
	}
	snprintf(path, sizeof path, "/proc/%d/mem", getppid());
	say_opened("open-memory", open(path, O_RDWR | O_CLOEXEC));
	snprintf(path, sizeof path, "/proc/%d/environ", getppid());
	say_opened("open-environment", open(path, O_RDONLY | O_CLOEXEC));
	say_opened("open-own-memory-to-write", open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	say_opened("open-device", open("/dev/fuse", O_RDWR | O_CLOEXEC));
	say_opened("create", open(another, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	say("mkdir", mkdir(another, 0700));
	say("symlink", symlink(victim_file, another));
	say("link", link(victim_file, another));
	say("rename", rename(victim_file, another));
	say("mknod", mknod(another, S_IFIFO | 0600, 0));
	say("chmod", chmod(victim_file, 0666));
	say("chown", chown(victim_file, 1000, 1000));
	say("truncate", truncate(victim_file, 0));
	say("unlink", unlink(victim_file));
	say("rmdir", rmdir(victim));
	say("chroot", chroot("/"));
}

static void try_network(void)
{
	say_opened("socket-inet", socket(AF_INET, SOCK_STREAM, 0));
	say_opened("socket-inet-datagram", socket(AF_INET, SOCK_DGRAM, 0));
	say_opened("socket-inet6", socket(AF_INET6, SOCK_STREAM, 0));
	say_opened("socket-raw", socket(AF_PACKET, SOCK_RAW, 0));
	say_opened("socket-netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	say_opened("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	say_opened("socket-unix-stream", socket(AF_UNIX, SOCK_STREAM, 0));
	say_opened("io_uring", syscall(SYS_io_uring_setup, 8, NULL));
}

static void try_programs(void)
{
	long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		_exit(0);
	say("fork", child);
	struct clone_args how = {.exit_signal = SIGCHLD};
	child = syscall(SYS_clone3, &how, sizeof how);
	if (child == 0)
		_exit(0);
	say("clone3", child);
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("map-code", code == MAP_FAILED ? -1 : 0);
	void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("make-code", mprotect(data, 4096, PROT_READ | PROT_EXEC));
	munmap(data, 4096);
	say_opened("memfd", memfd_create("attacked", 0));
}

static void try_processes(void)
{
	char room[16];
	struct iovec here = {room, sizeof room}, there = {(void *)mine, sizeof room};
	pid_t parent = getppid();
	say("ptrace", ptrace(PTRACE_ATTACH, parent, NULL, NULL));
	say("seize", ptrace(PTRACE_SEIZE, parent, NULL, NULL));
	say("read-memory", process_vm_readv(parent, &here, 1, &there, 1, 0));
	say("kill", kill(parent, SIGCONT));
	say("tgkill", syscall(SYS_tgkill, parent, parent, SIGCONT));
	say("pidfd", syscall(SYS_pidfd_open, parent, 0));
	say("limit", syscall(SYS_prlimit64, parent, RLIMIT_CORE, &(struct rlimit){1, 1}, NULL));
}

static void try_rights(void)
{
	uint32_t header[2] = {0x20080522}, all[6] = {~0U, ~0U, 0, ~0U, ~0U, 0};
	say("setuid", syscall(SYS_setuid, 0));
	say("setresuid", syscall(SYS_setresuid, 1000, 0, 0));
	say("setgroups", syscall(SYS_setgroups, 0, NULL));
	say("capset", syscall(SYS_capset, header, all));
	say("mount", mount("none", victim, "tmpfs", 0, NULL));
	say("umount", umount2(victim, 0));
	say("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
	say("setns", syscall(SYS_setns, 0, 0));
	say("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	say("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	say("userfaultfd", syscall(SYS_userfaultfd, 0));
	say("module", syscall(SYS_init_module, NULL, 0, ""));
	say("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	say("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	say("settime", syscall(SYS_settimeofday, NULL, NULL));
	say("dumpable", syscall(SYS_prctl, 4, 1, 0, 0, 0));
	say("lift-seccomp", syscall(SYS_seccomp, 1, 0, NULL));
	say("swap", syscall(SYS_swapon, "/dev/null", 0));
}

/* Where it succeeds nothing comes after it. */
static void try_exec(void)
{
	char program[] = "/bin/true", *const arguments[] = {program, NULL}, *const none[] = {NULL};
	say("execve", execve(program, arguments, none));
	say("execveat", syscall(SYS_execveat, AT_FDCWD, program, arguments, none, 0));
}

static void attack(int number)
{
	(void)number;
	int saved = errno;
	try_files();
	try_network();
	try_programs();
	try_processes();
	try_rights();
	try_exec();
	say("end", 0);
	errno = saved;
}

__attribute__((constructor)) static void lie_in_wait(void)
{
	const char *log = getenv("ATTACK_LOG"), *list = getenv("ATTACK_FILES");
	const char *directory = getenv("ATTACK_VICTIM");
	if (!log || !list || !directory)
		return;
	snprintf(victim, sizeof victim, "%s", directory);
	snprintf(victim_file, sizeof victim_file, "%s/file", victim);
	snprintf(another, sizeof another, "%s/another", victim);
	char *copy = strdup(list);
	for (int i = 0; i < FILES_MAX && copy; i++)
		files[i] = strsep(&copy, ":");
	/* Above those that a daemon closes as not its own. */
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096});
	int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	report = fcntl(fd, F_DUPFD_CLOEXEC, 2000);
	close(fd);
	if (getenv("ATTACK_AT_ONCE")) {
		try_files();
		try_network();
		try_exec();
		say("end", 0);
	}
	struct sigaction action = {.sa_handler = attack, .sa_flags = SA_RESTART};
	sigaction(SIGUSR2, &action, NULL);
}

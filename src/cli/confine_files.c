/*
 * Files: with Landlock a process opens what is below the directories that it names, and nothing else,
 * whatever its user may. What it has open stays open, and so does what it is handed (handover.h): the
 * key, which was read before, isn't among them. Debian's headers are older than many kernels: what came later is declared here.
 *
 *	ABI 1	Linux 5.13	files
 *	ABI 2, 3	5.19, 6.2	moving between directories; truncate(2)
 *	ABI 4	6.7	TCP
 *	ABI 5	6.10	ioctl(2) on devices
 *	ABI 6	6.12	signals, and sockets without a path, of processes outside
 */
#include "confine.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All rights on files that each ABI knows: they are numbered in order. */
static const uint64_t known_files[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
#define TRUNCATE (UINT64_C(1) << 14)
#define TCP_BIND_AND_CONNECT UINT64_C(3)
#define SOCKETS_AND_SIGNALS UINT64_C(3)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* What SQLite does: it makes and takes away the log, its index and files for a moment. */
#define USE                                                                                        \
	(READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                      \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | TRUNCATE)

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum error allow(int rules, const char *path, uint64_t rights, uint64_t known)
{
	SCOPED(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr below = {.allowed_access = rights & known,
						   .parent_fd = fd};
	if (fd < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0))
		return fail(ERR_ACCESS, "%s: Landlock can't be told of it: %s", path,
			    strerror(errno));
	return OK;
}

static enum error restrict_to(const struct confinement *wanted, int abi)
{
	int newest = (int)(sizeof known_files / sizeof *known_files) - 1;
	uint64_t files = known_files[abi < newest ? abi : newest];
	/* What the kernel is given as a struct of so many members as it knows. */
	const uint64_t handled[] = {files, TCP_BIND_AND_CONNECT, SOCKETS_AND_SIGNALS};
	size_t size = (abi >= 6 ? 3 : abi >= 4 ? 2 : 1) * sizeof *handled;
	SCOPED(close_fd) int rules = (int)syscall(SYS_landlock_create_ruleset, handled, size, 0);
	if (rules < 0)
		return fail(ERR_ACCESS, "Landlock takes no rules: %s", strerror(errno));
	TRY(allow(rules, wanted->store, USE, files));
	if (wanted->recipients)
		TRY(allow(rules, wanted->recipients, LANDLOCK_ACCESS_FS_READ_FILE, files));
	/* Who asks: /proc/PID/status, comm and loginuid. */
	TRY(allow(rules, "/proc", LANDLOCK_ACCESS_FS_READ_FILE, files));
	if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		return fail(ERR_ACCESS, "Landlock doesn't hold: %s", strerror(errno));
	return OK;
}

enum error confine_files(const struct confinement *wanted)
{
	if (CONFINE_FOR_TOOLS)
		return OK;
	if (wanted->has_provider) {
		log_say(LOG_LEVEL_INFO, "the private key is a provider's, which may need any file: "
					"Landlock is left out");
		return OK;
	}
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi >= 1)
		return restrict_to(wanted, abi);
	log_say(LOG_LEVEL_INFO,
		"this kernel has no Landlock (%s): only the rights of user %u keep this process "
		"from files that aren't its store's",
		strerror(errno), getuid());
	return OK;
}

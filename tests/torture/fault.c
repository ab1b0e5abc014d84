/*
 * A process that dies where it is told to: ESCROWFS_FAULT=name:n, at the n-th passing of that point by
 * any thread. The name is put into the file ESCROWFS_FAULT_LOG before, so that whoever counts knows that it
 * was there. It dies of an instruction, which takes no system call that a confined process hasn't, and
 * nothing is tidied up; for the same reason the file is mapped before main().
 */
#include "fault.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_SIZE 64

static atomic_long passed;
static char *reached;

__attribute__((constructor)) static void map_log(void)
{
	const char *path = getenv("ESCROWFS_FAULT_LOG");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *map = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	reached = map == MAP_FAILED ? NULL : map;
	close(fd);
}

void fault_point(const char *name)
{
	const char *asked = getenv("ESCROWFS_FAULT");
	size_t len = strlen(name);
	if (!asked || strncmp(asked, name, len) != 0 || asked[len] != ':')
		return;
	if (atomic_fetch_add(&passed, 1) + 1 != strtol(asked + len + 1, NULL, 10))
		return;
	if (reached && len < LOG_SIZE)
		memcpy(reached, name, len);
	__builtin_trap();
}

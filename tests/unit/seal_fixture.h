#ifndef ESCROWFS_TESTS_SEAL_FIXTURE_H
#define ESCROWFS_TESTS_SEAL_FIXTURE_H

/* What the tests of the seal share: a directory of their own, files in it, and a look at all memory. */

#include "seal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))
#define SHELL 4096

static char help_dir[] = "/tmp/seal-test-XXXXXX";

UNUSED static int help_setup(void **state)
{
	(void)state;
	return mkdtemp(help_dir) ? 0 : -1;
}

/* Runs a shell command in the directory; its exit status. */
__attribute__((format(printf, 1, 2))) UNUSED static int shell(const char *format, ...)
{
	char what[SHELL], command[SHELL + 64];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	snprintf(command, sizeof command, "cd %s && { %s\n}", help_dir, what);
	return system(command);
}

UNUSED static int help_teardown(void **state)
{
	(void)state;
	return shell("rm -rf %s", help_dir);
}

/* The path of a file in the directory. Sixty-four may be in use at once. */
UNUSED static const char *in_dir(const char *name)
{
	static char paths[64][256];
	static int next;
	char *path = paths[next++ % 64];
	snprintf(path, sizeof paths[0], "%s/%s", help_dir, name);
	return path;
}

UNUSED static const char *write_file(const char *name, const void *bytes, size_t n, mode_t mode)
{
	const char *path = in_dir(name);
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

UNUSED static const char *write_text(const char *name, const char *text, mode_t mode)
{
	return write_file(name, text, strlen(text), mode);
}

UNUSED static struct bytes read_file(const char *path)
{
	struct bytes content;
	assert_int_equal(bytes_read_file(path, 1 << 20, &content), OK);
	return content;
}

UNUSED static struct seal_key *load(const char *uri)
{
	struct seal_key *key = NULL;
	assert_int_equal(seal_key_load(uri, NULL, NULL, &key), OK);
	assert_non_null(key);
	return key;
}

/*
 * A secret that isn't in memory before it is asked for: every byte is there with its bits turned only.
 * In how many places of this process's writable memory is it?
 */
#define NEEDLE 24
static const uint8_t needle_turned[NEEDLE] = {
	0x9b, 0x8d, 0x90, 0x90, 0x86, 0x93, 0x9a, 0xd2, 0x9c, 0x97, 0x8a, 0x99,
	0x99, 0x9a, 0x8d, 0x9a, 0x8d, 0xd2, 0xcf, 0xc8, 0xcc, 0xce, 0xc9, 0xca,
};

UNUSED static void needle_put(uint8_t out[static NEEDLE])
{
	for (int i = 0; i < NEEDLE; i++)
		out[i] = (uint8_t)(needle_turned[i] ^ 0xff);
}

UNUSED static bool needle_at(const uint8_t *at)
{
	for (int i = 0; i < NEEDLE; i++)
		if ((at[i] ^ needle_turned[i]) != 0xff)
			return false;
	return true;
}

/* Sanitizers would see to it that memory of others isn't read. */
__attribute__((no_sanitize("address", "undefined"), noinline)) UNUSED static int needles(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	char line[512];
	int found = 0;
	while (fgets(line, sizeof line, maps)) {
		uintptr_t from, to;
		char mode[5];
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, mode) != 3 ||
		    strncmp(mode, "rw", 2) != 0)
			continue;
		for (const uint8_t *at = (const uint8_t *)from; at + NEEDLE <= (const uint8_t *)to;
		     at++)
			found += needle_at(at);
	}
	fclose(maps);
	return found;
}

#endif

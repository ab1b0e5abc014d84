#ifndef NEEDLE_H
#define NEEDLE_H

/*
 * A token that is nowhere in the program's own text: it is put together when it is needed. So a
 * test can look for it in all of the process' memory.
 */
#include <openssl/crypto.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define NEEDLE 40

static inline char needle(int i)
{
	return (char)('A' + (i * 7 + 11) % 26);
}

static inline bool needle_at(const char *at)
{
	int i = 0;
	while (i < NEEDLE && at[i] == needle(i))
		i++;
	return i == NEEDLE;
}

#define PAGE ((size_t)4096)

/* What is looked at is copied here, by the kernel: parts of a process' memory nobody may touch. */
static char needle_copy[16 * PAGE + NEEDLE];

static inline int needles_between(uintptr_t from, size_t n, bool kept)
{
	int found = 0;
	struct iovec to = {needle_copy, n}, of = {(void *)from, n}; /* NOLINT */
	ssize_t got = process_vm_readv(getpid(), &to, 1, &of, 1, 0);
	if (got < NEEDLE)
		return 0;
	const char *end = needle_copy + got - NEEDLE + 1;
	for (const char *c = needle_copy; (c = memchr(c, needle(0), (size_t)(end - c))); c++) {
		const char *here = (const char *)from + (c - needle_copy); /* NOLINT */
		bool is_copy = here >= needle_copy && here < needle_copy + sizeof needle_copy;
		if (needle_at(c) && !is_copy && !(kept && CRYPTO_secure_allocated(here)))
			found++;
	}
	return found;
}

/* How often the needle is in this process' memory; in secure memory it isn't counted while `kept`. */
static inline int needles(bool kept)
{
	int found = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		uintptr_t from, to;
		char rights[8];
		/* What a sanitizer reserves is huge. */
		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w' ||
		    to - from > (uintptr_t)1 << 28)
			continue;
		for (; from < to; from += 16 * PAGE) {
			size_t left = to - from;
			found += needles_between(
				from, left < sizeof needle_copy ? left : sizeof needle_copy, kept);
		}
	}
	fclose(maps);
	memset(needle_copy, 0, sizeof needle_copy);
	return found;
}

#endif

#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum error bytes_reserve(struct bytes *b, size_t n)
{
	if (n < b->cap - b->len)
		return OK;
	if (n > SIZE_MAX / 4 - b->len)
		return fail(ERR_MEMORY, "out of memory");
	size_t cap = b->cap ? b->cap : 128;
	while (cap - b->len <= n)
		cap *= 2;
	uint8_t *data = realloc(b->data, cap);
	if (!data)
		return fail(ERR_MEMORY, "out of memory");
	b->data = data;
	b->cap = cap;
	return OK;
}

enum error bytes_add(struct bytes *b, const void *more, size_t n)
{
	TRY(bytes_reserve(b, n));
	if (n)
		memcpy(b->data + b->len, more, n);
	b->len += n;
	b->data[b->len] = 0;
	return OK;
}

enum error bytes_print(struct bytes *b, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (n < 0)
		return fail(ERR_MEMORY, "out of memory");
	TRY(bytes_reserve(b, (size_t)n));
	va_start(arguments, format);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, arguments);
	va_end(arguments);
	b->len += (size_t)n;
	return OK;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static ssize_t read_on(int fd, void *to, size_t size, size_t at)
{
	(void)at;
	return read(fd, to, size);
}

static ssize_t read_at(int fd, void *to, size_t size, size_t at)
{
	return pread(fd, to, size, (off_t)at);
}

static enum error read_all(int fd, const char *path, size_t limit,
			   ssize_t (*reads)(int, void *, size_t, size_t), struct bytes *out)
{
	for (;;) {
		uint8_t piece[16384];
		ssize_t n = reads(fd, piece, sizeof piece, out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(ERR_IO, "%s: %s", path, strerror(errno));
		if (n == 0)
			return bytes_add(out, "", 0);
		if ((size_t)n > limit - out->len)
			return fail(ERR_TOO_BIG, "%s: larger than %zu bytes", path, limit);
		TRY(bytes_add(out, piece, (size_t)n));
	}
}

enum error bytes_read_file(const char *path, size_t limit, struct bytes *out)
{
	*out = (struct bytes){0};
	SCOPED(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail(errno == ENOENT   ? ERR_NOT_FOUND
			    : errno == EACCES ? ERR_ACCESS
					      : ERR_IO,
			    "%s: %s", path, strerror(errno));
	return read_all(fd, path, limit, read_on, out);
}

enum error bytes_read_opened(int fd, const char *path, size_t limit, struct bytes *out)
{
	*out = (struct bytes){0};
	return read_all(fd, path, limit, read_at, out);
}

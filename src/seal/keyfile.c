/* Reading of private files: who else may read them, where they lie, and no byte of them left behind. */
#include "keyfile.h"

#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX (1024 * 1024)

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/*
 * The path without symbolic links, whether or not its last parts are there yet. False when it can't
 * be said.
 */
static bool resolve(const char *path, char out[static PATH_MAX])
{
	if (realpath(path, out))
		return true;
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (errno != ENOENT || !len || len >= PATH_MAX)
		return false;
	size_t name = len;
	while (name && path[name - 1] != '/')
		name--;

	char parent[PATH_MAX] = ".";
	if (name) {
		memcpy(parent, path, name);
		parent[name] = 0;
	}
	char above[PATH_MAX];
	if (name == len || !resolve(parent, above))
		return false;
	int n = snprintf(out, PATH_MAX, "%s/%.*s", strcmp(above, "/") == 0 ? "" : above,
			 (int)(len - name), path + name);
	return n > 0 && n < PATH_MAX;
}

bool seal_path_inside(const char *path, const char *dir)
{
	char file[PATH_MAX], directory[PATH_MAX];
	if (!resolve(path, file) || !resolve(dir, directory))
		return false;
	if (strcmp(directory, "/") == 0)
		return true;
	size_t len = strlen(directory);
	return strncmp(file, directory, len) == 0 && (file[len] == '/' || !file[len]);
}

static enum error open_file(const char *path, int *fd)
{
	/* Not waiting for the writer of a FIFO. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd >= 0)
		return OK;
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return fail(ERR_NOT_FOUND, "%s: there is no such file", path);
	case EACCES:
	case EPERM:
		return fail(ERR_ACCESS, "%s: may not be read by this user", path);
	default:
		return fail(ERR_INVALID, "%s: can't be opened (%s)", path, strerror(errno));
	}
}

/* What must be true of the file behind the descriptor, so that nobody changes it between. */
static enum error check_private(int fd, const char *path)
{
	struct stat about;
	if (fstat(fd, &about) != 0)
		return fail(ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return fail(ERR_INVALID, "%s: not a regular file", path);
	if (about.st_mode & S_IRWXO)
		return fail(ERR_INVALID,
			    "%s: others have permissions on it (mode %04o): chmod 0600 %s", path,
			    about.st_mode & 07777, path);
	if (about.st_size > KEY_FILE_MAX)
		return fail(ERR_INVALID, "%s: too large to be a key", path);
	return OK;
}

/* The path that the descriptor was opened on, links resolved; `path` itself may change meanwhile. */
static bool opened_inside(int fd, const char *dir)
{
	char link[64], file[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, file, sizeof file - 1);
	if (n < 0)
		return false;
	file[n] = 0;
	return seal_path_inside(file, dir);
}

static enum error read_all(int fd, const char *path, size_t limit, struct secret *out)
{
	TRY(secret_new(4096, out));
	for (;;) {
		uint8_t piece[1024];
		ssize_t n = read(fd, piece, sizeof piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			secret_wipe(piece, sizeof piece);
		if (n < 0)
			return fail(ERR_IO, "%s: %s", path, strerror(errno));
		if (n == 0)
			return OK;
		enum error added =
			(size_t)n > limit - out->len
				? fail(ERR_INVALID, "%s: larger than %zu bytes", path, limit)
				: secret_add(out, piece, (size_t)n);
		if (added) {
			secret_wipe(piece, sizeof piece);
			return added;
		}
	}
}

enum error keyfile_read(const char *path, const char *outside_of, struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(close_fd) int fd = -1;
	TRY(open_file(path, &fd));
	if (outside_of && (seal_path_inside(path, outside_of) || opened_inside(fd, outside_of)))
		return fail(ERR_INVALID,
			    "%s: a private key may not lie in the store's directory %s, whose "
			    "copies it would open: move it elsewhere",
			    path, outside_of);
	TRY(check_private(fd, path));
	return read_all(fd, path, KEY_FILE_MAX, out);
}

static enum error first_line(const char *path, struct secret *out)
{
	SCOPED(close_fd) int fd = -1;
	TRY(open_file(path, &fd));
	TRY(check_private(fd, path));
	TRY(read_all(fd, path, KEY_FILE_MAX, out));
	const uint8_t *newline = memchr(out->data, '\n', out->len);
	if (newline)
		out->len = (size_t)(newline - out->data);
	if (!out->len)
		return fail(ERR_INVALID, "%s: its first line is empty", path);
	if (out->len > PASSPHRASE_MAX)
		return fail(ERR_INVALID, "%s: its first line is longer than %d bytes", path,
			    PASSPHRASE_MAX);
	return OK;
}

enum error keyfile_passphrase(const char *path, struct secret *out)
{
	*out = (struct secret){0};
	char credential[PATH_MAX];
	const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
	if (!path && directory) {
		int n = snprintf(credential, sizeof credential, "%s/escrowfs.passphrase",
				 directory);
		if (n > 0 && (size_t)n < sizeof credential && access(credential, F_OK) == 0)
			path = credential;
	}
	if (!path)
		return OK;
	if (first_line(path, out) == OK)
		return OK;
	/* Whatever is wrong with it: a missing key may be passed over, a missing passphrase not. */
	return fail(ERR_NO_KEY, "the passphrase can't be used: %s", fail_why());
}

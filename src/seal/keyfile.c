/*
 * Reading of private files: who else may read them, where they lie, and no byte of them left behind.
 *
 * MUST: no private key file that others can read is used. (test: key_world_readable_refused)
 * MUST: nor a passphrase's. (test: passphrase_file_must_be_private)
 * MUST: a key in the store's directory is refused. (test: key_inside_directory_refused)
 * MUST: what isn't a regular file, or lies behind a link of somebody else's, is refused and not waited
 *       for. (test: attack.bats, "a link or FIFO in place of the key")
 */
#include "keyfile.h"

#include "path.h"
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
			    "%s: others have permissions on it (mode %04o): chmod o= %s", path,
			    about.st_mode & 07777, path);
	if (about.st_size > KEY_FILE_MAX)
		return fail(ERR_INVALID, "%s: too large to be a key", path);
	return OK;
}

/* The path that the descriptor was opened on, links resolved; `path` itself may change meanwhile. */
bool keyfile_opened_inside(int fd, const char *dir)
{
	char link[64], file[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, file, sizeof file - 1);
	if (n < 0)
		return false;
	file[n] = 0;
	return seal_path_inside(file, dir);
}

/* From its start, wherever the descriptor stands: it may have been read before. */
static enum error read_all(int fd, const char *path, size_t limit, struct secret *out)
{
	TRY(secret_new(4096, out));
	for (off_t at = 0;; at = (off_t)out->len) {
		uint8_t piece[1024];
		ssize_t n = pread(fd, piece, sizeof piece, at);
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

static enum error inside_store(const char *path, const char *store)
{
	return fail(ERR_INVALID,
		    "%s: a private key may not lie in the store's directory %s, whose "
		    "copies it would open: move it elsewhere",
		    path, store);
}

enum error keyfile_read(const char *path, const char *outside_of, struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(close_fd) int fd = -1;
	TRY(path_open(path, &fd));
	if (outside_of &&
	    (seal_path_inside(path, outside_of) || keyfile_opened_inside(fd, outside_of)))
		return inside_store(path, outside_of);
	TRY(check_private(fd, path));
	return read_all(fd, path, KEY_FILE_MAX, out);
}

enum error keyfile_read_opened(const struct opened *file, const char *outside_of,
			       struct secret *out)
{
	*out = (struct secret){0};
	if (file->fd < 0)
		return fail(file->error, "%s", file->why);
	if (outside_of && keyfile_opened_inside(file->fd, outside_of))
		return inside_store(file->path, outside_of);
	TRY(check_private(file->fd, file->path));
	return read_all(file->fd, file->path, KEY_FILE_MAX, out);
}

static enum error first_line(int fd, const char *path, struct secret *out)
{
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

enum error seal_line_read(const char *path, struct secret *out)
{
	*out = (struct secret){0};
	SCOPED(close_fd) int fd = -1;
	TRY(path_open(path, &fd));
	return first_line(fd, path, out);
}

const char *keyfile_credential(char out[static PATH_MAX])
{
	const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
	if (!directory)
		return NULL;
	int n = snprintf(out, PATH_MAX, "%s/escrowfs.passphrase", directory);
	return n > 0 && n < PATH_MAX && access(out, F_OK) == 0 ? out : NULL;
}

/* Whatever is wrong with it: a missing key may be passed over, a missing passphrase not. */
static enum error not_used(void)
{
	return fail(ERR_NO_KEY, "the passphrase can't be used: %s", fail_why());
}

/* A unit has the credential always; where no passphrase was given it is an empty line. */
static bool is_blank(int fd)
{
	char first;
	return pread(fd, &first, 1, 0) == 0 || first == '\n';
}

static enum error passphrase_in(const char *path, bool given, struct secret *out)
{
	SCOPED(close_fd) int fd = -1;
	if (path_open(path, &fd))
		return not_used();
	if (!given && is_blank(fd))
		return OK;
	return first_line(fd, path, out) == OK ? OK : not_used();
}

enum error keyfile_passphrase(const char *path, struct secret *out)
{
	char credential[PATH_MAX];
	*out = (struct secret){0};
	if (path)
		return passphrase_in(path, true, out);
	return keyfile_credential(credential) ? passphrase_in(credential, false, out) : OK;
}

enum error keyfile_passphrase_opened(const struct opened *file, bool given, struct secret *out)
{
	*out = (struct secret){0};
	if (!*file->path)
		return OK;
	if (file->fd < 0) {
		(void)fail(file->error, "%s", file->why);
		return not_used();
	}
	if (!given && is_blank(file->fd))
		return OK;
	return first_line(file->fd, file->path, out) == OK ? OK : not_used();
}

/*
 * A device's directory of a sealed tree.
 *
 * MUST: of a copy of an open mount, which has tokens in the clear, nothing is taken in or told.
 *       (test: import_tree.bats, "a copy of an open mount")
 */
#include "sources/tree.h"

#include "fs.h"
#include "sources/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SECURITY_MAX (1024 * 1024)
#define PEM_MAX (256 * 1024) /* of 48 KiB of token, sealed to many */
#define PEM_START "-----BEGIN"
#define STATUS_MAX 32
#define NAMES_MAX 20000

struct reading {
	struct kept_device *kept;
	size_t left;	   /* of TREE_DEVICE_MAX */
	bool described;	   /* there is a security.json, good or bad */
	uint32_t uid, gid; /* of the directory above: who owns what nobody gave to others */
};

/* ---- files ---- */

static void close_scoped(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum error open_part(const char *path, bool directory, int *fd)
{
	struct stat st;
	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0 && errno == ELOOP)
		return fail(ERR_INVALID, "a symbolic link; it isn't followed");
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return fail(ERR_INVALID, "%s", strerror(errno));
	if (directory && !S_ISDIR(st.st_mode))
		return fail(ERR_INVALID, "it is no directory, and should be one");
	if (!directory && !S_ISREG(st.st_mode))
		return fail(ERR_INVALID, "it is no regular file, and should be one");
	return OK;
}

static enum error read_piece(struct bytes *out, const char *piece, size_t n, size_t limit,
			     const char *start)
{
	/* In a copy of an open mount it is a token in the clear: that goes no further. */
	if (!out->len && (n < strlen(start) || memcmp(piece, start, strlen(start)) != 0))
		return fail(ERR_INVALID,
			    "it is no seal in PEM; a plain token is written to the file `token` of "
			    "a mount, or imported as CSV");
	if (out->len + n > limit)
		return fail(ERR_TOO_BIG, "it is larger than any such file, %zu bytes", limit);
	return bytes_add(out, piece, n);
}

/* `start`: what is in it begins so. */
static enum error read_all(struct reading *reading, int fd, size_t limit, const char *start,
			   struct bytes *out)
{
	char piece[16 * 1024];
	ssize_t n;
	enum error result = OK;
	while (!result && (n = read(fd, piece, sizeof piece)) != 0) {
		if (n < 0)
			return fail(ERR_INVALID, "it can't be read: %s", strerror(errno));
		result = read_piece(out, piece, (size_t)n, limit, start);
		secret_wipe(piece, (size_t)n);
	}
	TRY(result);
	if (out->len > reading->left)
		return fail(ERR_TOO_BIG, "the device's files have more than %d bytes",
			    TREE_DEVICE_MAX);
	reading->left -= out->len;
	return OK;
}

/* ---- owner, mode, ACLs ---- */

static enum error read_acl(int fd, const char *name, struct bytes *acl)
{
	uint8_t value[STORE_ACL_MAX];
	ssize_t n = fgetxattr(fd, name, value, sizeof value);
	return n > 0 ? bytes_add(acl, value, (size_t)n) : OK;
}

static enum error note_access(struct reading *reading, const char *name, int fd)
{
	struct stat st;
	int node;
	struct access_node start;
	if (reading->kept->removed || fstat(fd, &st) < 0 || !fs_device_file(name, &node, &start))
		return OK;
	struct kept_access *access = &reading->kept->access[node];
	*access = (struct kept_access){
		.there = true,
		.owned = geteuid() == 0 && (st.st_uid != reading->uid || st.st_gid != reading->gid),
		.start = start,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.mode = st.st_mode & 0777,
	};
	TRY(read_acl(fd, "system.posix_acl_access", &access->acl));
	return start.directory ? read_acl(fd, "system.posix_acl_default", &access->default_acl)
			       : OK;
}

/* ---- what a device's directory has ---- */

static enum error read_file(struct reading *reading, const char *path, enum tree_part part,
			    size_t limit, const char *start, struct bytes *out)
{
	SCOPED(close_scoped) int fd = -1;
	TRY(open_part(path, false, &fd));
	TRY(note_access(reading, tree_part_name(part), fd));
	return read_all(reading, fd, limit, start, out);
}

static enum error read_security(struct reading *reading, const char *path)
{
	struct bytes *security = &reading->kept->security;
	reading->described = true;
	enum error result = read_file(reading, path, TREE_SECURITY, SECURITY_MAX, "", security);
	if (!result && !security->len)
		result = fail(ERR_INVALID,
			      "it is empty; the tokens come in without it: times and facts are "
			      "lost");
	if (result)
		bytes_free(security);
	return result;
}

static enum error read_status(struct reading *reading, const char *path)
{
	SCOPED(bytes_free) struct bytes text = {0};
	TRY(read_file(reading, path, TREE_STATUS, STATUS_MAX, "", &text));
	for (int i = 0; i < STATUS_COUNT; i++) {
		const char *word = status_word((enum status)i);
		if (text.len == strlen(word) + 1 && memcmp(text.data, word, text.len - 1) == 0 &&
		    text.data[text.len - 1] == '\n')
			return OK;
	}
	return fail(ERR_INVALID, "it holds none of the six words");
}

static enum error add_token(struct reading *reading, const char *path, int number,
			    struct bytes *pem)
{
	char *copy = strdup(path);
	struct kept_token *token = copy ? kept_token(reading->kept) : NULL;
	if (!token) {
		free(copy);
		return fail(ERR_MEMORY, "out of memory");
	}
	*token = (struct kept_token){
		.path = copy, .current = number == 0, .number = number, .pem = *pem};
	*pem = (struct bytes){0};
	return OK;
}

static enum error read_token(struct reading *reading, const char *path)
{
	SCOPED(bytes_free) struct bytes pem = {0};
	TRY(read_file(reading, path, TREE_TOKEN, PEM_MAX, PEM_START, &pem));
	return add_token(reading, path, 0, &pem);
}

/* "12.pem" */
static int number_of(const char *name)
{
	char should[32], *end;
	long number = strtol(name, &end, 10);
	if (number < 1 || number > VERSION_NUMBER_MAX)
		return 0;
	snprintf(should, sizeof should, "%ld.pem", number);
	return strcmp(name, should) == 0 ? (int)number : 0;
}

static enum error read_old(struct reading *reading, const char *path, const char *name)
{
	SCOPED(bytes_free) struct bytes pem = {0};
	SCOPED(close_scoped) int fd = -1;
	int number = number_of(name);
	if (!number)
		return fail(ERR_INVALID, "a backup has no file of this name here");
	TRY(open_part(path, false, &fd));
	TRY(read_all(reading, fd, PEM_MAX, PEM_START, &pem));
	return add_token(reading, path, number, &pem);
}

/* ---- directories ---- */

typedef enum error each_entry(struct reading *, const char *path, const char *name);

/* An entry's trouble is kept, and the next one read. */
static enum error take_entry(struct reading *reading, const char *path, const char *name,
			     each_entry *each)
{
	char entry[PATH_MAX];
	enum error result;
	if ((size_t)snprintf(entry, sizeof entry, "%s/%s", path, name) >= sizeof entry)
		result = fail(ERR_INVALID, "its path is too long");
	else
		result = each(reading, entry, name);
	return !result || result == ERR_MEMORY ? result : kept_refuse(reading->kept, entry, result);
}

static enum error add_name(struct names *names, const char *name)
{
	if (names->count == NAMES_MAX)
		return fail(ERR_TOO_BIG, "there are more than %d names in it", NAMES_MAX);
	return names_add(names, name);
}

static enum error list(int fd, struct names *names)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	enum error result = OK;
	if (!dir) {
		if (again >= 0)
			close(again);
		return fail(ERR_INVALID, "it can't be read: %s", strerror(errno));
	}
	while (!result && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			result = add_name(names, entry->d_name);
	closedir(dir);
	return result;
}

/* In the order of names, so that the trail and the numbers are alike each time. */
static enum error walk(struct reading *reading, const char *path, int fd, each_entry *each)
{
	struct names names = {0};
	enum error result = list(fd, &names);
	names_sort(&names, strverscmp);
	for (size_t i = 0; i < names.count && !result; i++)
		result = take_entry(reading, path, names.name[i], each);
	names_free(&names);
	return result;
}

static enum error read_history(struct reading *reading, const char *path)
{
	SCOPED(close_scoped) int fd = -1;
	TRY(open_part(path, true, &fd));
	return walk(reading, path, fd, read_old);
}

static const struct part {
	const char *name;
	enum error (*read)(struct reading *, const char *path);
	bool removed; /* /removed/UDID has it too */
} parts[TREE_PARTS] = {
	[TREE_SECURITY] = {"security.json", read_security, true},
	[TREE_STATUS] = {"bootstrap_status", read_status, false},
	[TREE_TOKEN] = {"token", read_token, false},
	[TREE_HISTORY] = {"history", read_history, true},
};

const char *tree_part_name(enum tree_part part)
{
	return parts[part].name;
}

static enum error read_entry(struct reading *reading, const char *path, const char *name)
{
	for (enum tree_part part = 0; part < TREE_PARTS; part++)
		if (strcmp(parts[part].name, name) == 0 &&
		    (parts[part].removed || !reading->kept->removed))
			return parts[part].read(reading, path);
	return fail(ERR_INVALID, "a backup has no file of this name here");
}

static enum error read_device(struct reading *reading, const char *path)
{
	SCOPED(close_scoped) int fd = -1;
	struct stat st;
	TRY(open_part(path, true, &fd));
	if (fstatat(fd, "..", &st, 0) == 0) {
		reading->uid = st.st_uid;
		reading->gid = st.st_gid;
	}
	TRY(note_access(reading, "", fd));
	TRY(walk(reading, path, fd, read_entry));
	const struct kept_device *kept = reading->kept;
	if (!kept->security.len && !kept->count && !kept->refusal_count)
		return fail(ERR_INVALID, "there is nothing of a device in it; restore it from the "
					 "backup again");
	if (!reading->described)
		return fail(ERR_INVALID,
			    "security.json isn't there; its tokens come in without it: times and "
			    "facts are lost");
	return OK;
}

enum error tree_read_device(const char *path, const char *udid, bool removed,
			    struct kept_device *out)
{
	struct reading reading = {.kept = out, .left = TREE_DEVICE_MAX};
	*out = (struct kept_device){.removed = removed, .path = strdup(path)};
	snprintf(out->udid, sizeof out->udid, "%s", udid);
	if (!out->path)
		return fail(ERR_MEMORY, "out of memory");
	enum error result = read_device(&reading, path);
	return !result || result == ERR_MEMORY ? result : kept_refuse(out, path, result);
}

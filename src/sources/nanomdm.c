/*
 * NanoMDM's file store: a directory for each enrolment, named by its id, with the last messages of
 * the device and its Bootstrap Token as raw bytes. When something was said is when its file was
 * written.
 *
 * MUST: what was read of a token's file is in secure memory alone. (test: token_in_secret)
 */
#include "sources/kinds.h"
#include "sources/moving.h"

#include "mdm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUTHENTICATE "Authenticate.plist"
#define TOKEN_UPDATE "TokenUpdate.plist"
#define TOKEN "BootstrapToken.dat"
#define DISABLED "Disabled"

static bool is_there(const char *path, const char *name)
{
	char file[PATH_MAX];
	struct stat st;
	return (size_t)snprintf(file, sizeof file, "%s/%s", path, name) < sizeof file &&
	       lstat(file, &st) == 0;
}

static bool tells(const char *path)
{
	return is_there(path, AUTHENTICATE) || is_there(path, TOKEN_UPDATE) ||
	       is_there(path, TOKEN);
}

/* Beside the enrolments: certificates for push, and whose certificate has which hash. */
static bool passes(const uint8_t *head, size_t len)
{
	static const char pem[] = "-----BEGIN ";
	if (len >= sizeof pem - 1 && memcmp(head, pem, sizeof pem - 1) == 0)
		return true;
	const uint8_t *comma = memchr(head, ',', len);
	uint8_t hash[32];
	char hex[2 * sizeof hash + 1] = "";
	if (!comma || len - (size_t)(comma - head) < 1 + sizeof hex || comma[sizeof hex] != '\n')
		return false;
	memcpy(hex, comma + 1, sizeof hex - 1);
	return hex_read(hex, sizeof hash, hash);
}

/* ---- its files ---- */

static int64_t written_at(const struct stat *st)
{
	return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

static enum error read_all(int fd, struct secret *out)
{
	while (out->len < out->cap) {
		ssize_t n = read(fd, out->data + out->len, out->cap - out->len);
		if (n == 0)
			return OK;
		if (n < 0)
			return fail(ERR_INVALID, "it can't be read: %s", strerror(errno));
		out->len += (size_t)n;
	}
	return OK;
}

static enum error read_open(int fd, struct secret *out, int64_t *at)
{
	struct stat st;
	if (fstat(fd, &st))
		return fail(ERR_INVALID, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(ERR_INVALID, "it is no regular file");
	if (st.st_size > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "it is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (st.st_size == 0)
		return fail(ERR_INVALID, "it is empty");
	TRY(secret_new((size_t)st.st_size, out));
	*at = written_at(&st);
	return read_all(fd, out);
}

/* ERR_NOT_FOUND: it isn't there, which nobody minds. Links aren't followed. */
static enum error read_part(const char *file, struct secret *out, int64_t *at)
{
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return fail(ERR_NOT_FOUND, "%s", strerror(errno));
	if (fd < 0 && errno == ELOOP)
		return fail(ERR_INVALID, "a symbolic link; it isn't followed");
	if (fd < 0)
		return fail(ERR_INVALID, "%s", strerror(errno));
	enum error result = read_open(fd, out, at);
	close(fd);
	return result;
}

/* Takes in a file of the directory; what is wrong with it is said, and the others still count. */
static enum error take(struct intake *intake, const char *path, const char *name, const char *udid,
		       struct secret *out, int64_t *at)
{
	char file[PATH_MAX];
	snprintf(file, sizeof file, "%s/%s", path, name);
	enum error result = read_part(file, out, at);
	if (result == OK || result == ERR_NOT_FOUND)
		return OK;
	secret_free(out);
	return intake_refuse(intake, file, NULL, 0, udid,
			     fail(result, "device %s: %s", udid, fail_why()));
}

static void look_for_disabled(const char *path, struct migrant *migrant)
{
	char file[PATH_MAX];
	struct stat st;
	snprintf(file, sizeof file, "%s/%s", path, DISABLED);
	if (lstat(file, &st))
		return;
	migrant->disabled = true;
	migrant->disabled_at = written_at(&st);
}

/* ---- the directory ---- */

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static enum error take_all(struct intake *intake, const char *path, struct moving *moving)
{
	struct migrant *migrant = &moving->migrant;
	const char *udid = migrant->udid;
	TRY(take(intake, path, AUTHENTICATE, udid, &migrant->authenticate,
		 &migrant->authenticate_at));
	TRY(take(intake, path, TOKEN_UPDATE, udid, &migrant->token_update,
		 &migrant->token_update_at));
	TRY(take(intake, path, TOKEN, udid, &migrant->token, &migrant->token_at));
	look_for_disabled(path, migrant);
	return OK;
}

static enum error read_enrolment(struct intake *intake, const char *path)
{
	char whole[PATH_MAX];
	if (!realpath(path, whole))
		return intake_refuse(intake, path, NULL, 0, NULL,
				     fail(ERR_INVALID, "%s", strerror(errno)));
	const char *id = last_name(whole);
	intake_file(intake);
	/* A user's channel: it has no Bootstrap Token, and its device has a directory of its own. */
	if (strchr(id, ':'))
		return OK;
	if (!udid_valid(id, strlen(id)))
		return intake_refuse(intake, path, NULL, 0, NULL,
				     fail(ERR_INVALID, "its name is no UDID"));
	struct moving *moving;
	TRY(moving_new(id, &moving));
	snprintf(moving->from, sizeof moving->from, "NanoMDM's store, %.200s", whole);
	enum error result = take_all(intake, path, moving);
	const struct migrant *migrant = &moving->migrant;
	bool nothing =
		!migrant->authenticate.len && !migrant->token_update.len && !migrant->token.len;
	if (result || nothing) {
		moving_free(moving);
		return result;
	}
	return moving_hand_over(intake, moving, path, 0);
}

const struct source_kind source_nanomdm = {
	.name = "NanoMDM's file store",
	.tells_directory = tells,
	.read_directory = read_enrolment,
	.passes_file = passes,
};

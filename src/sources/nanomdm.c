/*
 * NanoMDM's file store: a directory for each enrolment, named by its id. And what it has in common
 * with the store of keys and values: an enrolment, as a unit of work.
 *
 * MUST: what was read of a token's file is in secure memory alone. (test: enrolment_in_secret)
 */
#include "sources/nanomdm.h"

#include "sources/kinds.h"

#include "mdm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISABLED "Disabled"

static const struct nanomdm_layout layout = {.part = {[NANOMDM_AUTHENTICATE] = "Authenticate.plist",
						      [NANOMDM_TOKEN_UPDATE] = "TokenUpdate.plist",
						      [NANOMDM_TOKEN] = "BootstrapToken.dat"}};

/* ---- an enrolment, as a unit of work ---- */

struct enrolment {
	const struct nanomdm_layout *layout;
	char path[PATH_MAX], udid[UDID_MAX + 1];
	bool has[NANOMDM_PARTS], disabled;
	int64_t disabled_at;
};

static int64_t written_at(const struct stat *st)
{
	return time_of_file(&st->st_mtim);
}

bool nanomdm_file(char out[static PATH_MAX], const struct nanomdm_layout *its, const char *path,
		  const char *id, enum nanomdm_part part)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s%s", path, its->begins_with_id ? id : "",
				its->part[part]) < PATH_MAX;
}

static bool file_of(char out[static PATH_MAX], const struct enrolment *enrolment,
		    enum nanomdm_part part)
{
	return nanomdm_file(out, enrolment->layout, enrolment->path, enrolment->udid, part);
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

/* What makes a file none of an enrolment's. */
static enum error check_file(const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return fail(ERR_INVALID, "a symbolic link; it isn't followed");
	if (!S_ISREG(st->st_mode))
		return fail(ERR_INVALID, "it is no regular file");
	if (st->st_size > MDM_MESSAGE_MAX)
		return fail(ERR_TOO_BIG, "it is over %d KiB", MDM_MESSAGE_MAX / 1024);
	if (st->st_size == 0)
		return fail(ERR_INVALID, "it is empty");
	return OK;
}

static enum error read_open(int fd, struct secret *out, int64_t *at)
{
	struct stat st;
	if (fstat(fd, &st))
		return fail(ERR_INVALID, "%s", strerror(errno));
	TRY(check_file(&st));
	TRY(secret_new((size_t)st.st_size, out));
	*at = written_at(&st);
	return read_all(fd, out);
}

static enum error read_part(const struct enrolment *enrolment, enum nanomdm_part part,
			    struct secret *out, int64_t *at)
{
	char file[PATH_MAX];
	if (!enrolment->has[part] || !file_of(file, enrolment, part))
		return OK;
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum error result =
		fd < 0 ? fail(ERR_INVALID, "%s", strerror(errno)) : read_open(fd, out, at);
	if (fd >= 0)
		close(fd);
	if (result)
		return fail(result, "device %s: %s: %s", enrolment->udid, strrchr(file, '/') + 1,
			    fail_why());
	return OK;
}

static void migrant_free(struct migrant *migrant)
{
	secret_free(&migrant->authenticate);
	secret_free(&migrant->token_update);
	secret_free(&migrant->token);
}

static enum error prepare(struct escrow *escrow, const struct actor *actor, const struct unit *unit,
			  bool again, struct arrival **out)
{
	const struct enrolment *enrolment = unit->work;
	char from[256];
	SCOPED(migrant_free)
	struct migrant migrant = {.disabled = enrolment->disabled,
				  .disabled_at = enrolment->disabled_at,
				  .from = from};
	snprintf(from, sizeof from, "NanoMDM's store, %.200s", enrolment->path);
	memcpy(migrant.udid, enrolment->udid, sizeof migrant.udid);
	TRY(read_part(enrolment, NANOMDM_AUTHENTICATE, &migrant.authenticate,
		      &migrant.authenticate_at));
	TRY(read_part(enrolment, NANOMDM_TOKEN_UPDATE, &migrant.token_update,
		      &migrant.token_update_at));
	TRY(read_part(enrolment, NANOMDM_TOKEN, &migrant.token, &migrant.token_at));
	return escrow_migrant_prepare(escrow, actor, &migrant, again, out);
}

static const struct unit_kind enrolment_kind = {.prepare = prepare, .release = free};

/* Files that can't be one of an enrolment's are said, and the others still count. */
static enum error look_at_part(struct intake *intake, struct enrolment *enrolment,
			       enum nanomdm_part part)
{
	char file[PATH_MAX];
	struct stat st;
	if (!file_of(file, enrolment, part) || lstat(file, &st))
		return OK;
	if (part == NANOMDM_TOKEN && enrolment->layout->empty_is_none && S_ISREG(st.st_mode) &&
	    !st.st_size)
		return OK;
	enum error wrong = check_file(&st);
	enrolment->has[part] = !wrong;
	if (!wrong)
		return OK;
	return intake_refuse(intake, file, NULL, 0, enrolment->udid,
			     fail(wrong, "device %s: %s", enrolment->udid, fail_why()));
}

static void look_for_disabled(struct enrolment *enrolment, const char *file)
{
	struct stat st;
	if (lstat(file, &st))
		return;
	enrolment->disabled = true;
	enrolment->disabled_at = written_at(&st);
}

static enum error look_at_all(struct intake *intake, struct enrolment *enrolment,
			      const char *disabled)
{
	bool any = false;
	enum error result = OK;
	for (enum nanomdm_part part = 0; part < NANOMDM_PARTS && !result; part++) {
		result = look_at_part(intake, enrolment, part);
		any = any || enrolment->has[part];
	}
	if (result || !any) {
		free(enrolment);
		return result;
	}
	look_for_disabled(enrolment, disabled);
	return intake_add(intake, &(struct unit){.kind = &enrolment_kind,
						 .work = enrolment,
						 .size = sizeof *enrolment,
						 .file = enrolment->path,
						 .udid = enrolment->udid});
}

enum error nanomdm_enrolment(struct intake *intake, const struct nanomdm_layout *its,
			     const char *path, const char *id, const char *disabled,
			     const char *name)
{
	intake_file(intake);
	if (strchr(id, ':'))
		return OK;
	if (!udid_valid(id, strlen(id)) || strlen(path) >= PATH_MAX)
		return intake_refuse(intake, name, NULL, 0, NULL,
				     fail(ERR_INVALID, "its name is no UDID"));
	struct enrolment *enrolment = calloc(1, sizeof *enrolment);
	if (!enrolment)
		return fail(ERR_MEMORY, "out of memory");
	enrolment->layout = its;
	memcpy(enrolment->path, path, strlen(path) + 1);
	memcpy(enrolment->udid, id, strlen(id) + 1);
	return look_at_all(intake, enrolment, disabled);
}

/* ---- the file store ---- */

static bool tells(const char *path)
{
	char file[PATH_MAX];
	struct stat st;
	for (enum nanomdm_part part = 0; part < NANOMDM_PARTS; part++)
		if (nanomdm_file(file, &layout, path, "", part) && lstat(file, &st) == 0)
			return true;
	return false;
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

/* The id: the directory's own name, however it was given. */
static bool find_id(const char *path, char out[static PATH_MAX])
{
	size_t end = strlen(path), start;
	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/';)
		start--;
	snprintf(out, PATH_MAX, "%.*s", (int)(end - start), path + start);
	if (*out && strcmp(out, ".") != 0 && strcmp(out, "..") != 0)
		return true;
	char whole[PATH_MAX];
	if (!realpath(path, whole))
		return false;
	snprintf(out, PATH_MAX, "%s", strrchr(whole, '/') + 1);
	return true;
}

static enum error read_enrolment(struct intake *intake, const char *path)
{
	char id[PATH_MAX], disabled[PATH_MAX];
	if (!find_id(path, id))
		return intake_refuse(intake, path, NULL, 0, NULL,
				     fail(ERR_INVALID, "%s", strerror(errno)));
	snprintf(disabled, sizeof disabled, "%s/" DISABLED, path);
	return nanomdm_enrolment(intake, &layout, path, id, disabled, path);
}

const struct source_kind source_nanomdm = {
	.name = "NanoMDM's file store",
	.tells_directory = tells,
	.read_directory = read_enrolment,
	.passes_file = passes,
};

/*
 * NanoMDM's store of keys and values in files (filekv), which it uses unless told otherwise. A directory
 * for each kind of thing that it keeps, and in it a file for each key, two directories deep by what the
 * key begins with:
 *
 *   devices/93/53/9353BC9A-5CF9-....auth         the last Authenticate
 *   devices/93/53/9353BC9A-5CF9-....tok_upd      the last TokenUpdate
 *   devices/93/53/9353BC9A-5CF9-....bstoken      the Bootstrap Token; empty when it was removed
 *   enrollments/93/53/9353BC9A-5CF9-....disabled
 *
 * All Macs with Apple silicon begin alike: one directory may have the files of a hundred thousand, and
 * they are taken as they come.
 */
#include "sources/kinds.h"
#include "sources/nanomdm.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEVICES "devices"
#define ENROLLMENTS "enrollments"

static const struct nanomdm_layout layout = {.part = {[NANOMDM_AUTHENTICATE] = ".auth",
						      [NANOMDM_TOKEN_UPDATE] = ".tok_upd",
						      [NANOMDM_TOKEN] = ".bstoken"},
					     .begins_with_id = true,
					     .empty_is_none = true};

static bool join(char out[static PATH_MAX], const char *path, const char *name)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s", path, name) < PATH_MAX;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool tells(const char *path)
{
	char devices[PATH_MAX], enrollments[PATH_MAX];
	return join(devices, path, DEVICES) && is_directory(devices) &&
	       join(enrollments, path, ENROLLMENTS) && is_directory(enrollments);
}

/* Where in the store something is: the store itself, and "93/53" in it. */
struct place {
	const char *store, *sub;
};

static bool directory_of(char out[static PATH_MAX], const struct place *place, const char *bucket)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s%s%s", place->store, bucket,
				*place->sub ? "/" : "", place->sub) < PATH_MAX;
}

/* An enrolment is taken at the first of its parts: is there none before this one? */
static bool is_first(const char *path, const char *id, enum nanomdm_part part)
{
	char file[PATH_MAX];
	struct stat st;
	for (enum nanomdm_part before = 0; before < part; before++)
		if (nanomdm_file(file, &layout, path, id, before) && lstat(file, &st) == 0)
			return false;
	return true;
}

/* Which part of which enrolment has a file of this name? false: it has nothing for an escrow. */
static bool read_name(const char *name, char id[static NAME_MAX + 1], enum nanomdm_part *part)
{
	const char *dot = strrchr(name, '.');
	for (*part = 0; dot && *part < NANOMDM_PARTS; ++*part) {
		if (strcmp(dot, layout.part[*part]) != 0)
			continue;
		snprintf(id, NAME_MAX + 1, "%.*s", (int)(dot - name), name);
		return true;
	}
	return false;
}

static enum error read_key(struct intake *intake, const struct place *place, const char *path,
			   const char *name)
{
	char id[NAME_MAX + 1], file[PATH_MAX], enrollments[PATH_MAX], disabled[PATH_MAX];
	enum nanomdm_part part;
	if (!read_name(name, id, &part) || !is_first(path, id, part))
		return OK;
	if (!join(file, path, name) || !directory_of(enrollments, place, ENROLLMENTS) ||
	    (size_t)snprintf(disabled, sizeof disabled, "%s/%s.disabled", enrollments, id) >=
		    sizeof disabled)
		return intake_refuse(intake, name, NULL, 0, NULL,
				     fail(ERR_INVALID, "its path is too long"));
	return nanomdm_enrolment(intake, &layout, path, id, disabled, file);
}

/* `deep`: how many directories further down the keys are. */
static enum error read_devices(struct intake *intake, const struct place *place, int deep)
{
	char path[PATH_MAX];
	DIR *dir = directory_of(path, place, DEVICES) ? opendir(path) : NULL;
	const struct dirent *entry;
	enum error result = OK;
	if (!dir) {
		fail(ERR_INVALID, "%s", strerror(errno));
		intake_unread(intake, path);
		return OK;
	}
	while (!result && !intake_stopped(intake) && (entry = readdir(dir))) {
		char child[PATH_MAX], sub[2 * (NAME_MAX + 1)];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof sub, "%s%s%s", place->sub, *place->sub ? "/" : "",
			 entry->d_name);
		if (!deep)
			result = read_key(intake, place, path, entry->d_name);
		else if (join(child, path, entry->d_name) && is_directory(child))
			result = read_devices(intake,
					      &(struct place){.store = place->store, .sub = sub},
					      deep - 1);
	}
	closedir(dir);
	return result;
}

static enum error read_store(struct intake *intake, const char *path)
{
	return read_devices(intake, &(struct place){.store = path, .sub = ""}, 2);
}

const struct source_kind source_nanomdm_kv = {
	.name = "NanoMDM's store of keys and values",
	.tells_directory = tells,
	.read_directory = read_store,
};

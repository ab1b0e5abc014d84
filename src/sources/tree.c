/* Sealed trees, device by device: a directory with a device's name and files is one. */
#include "sources/tree.h"

#include "sources/kinds.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool has(const char *path, const char *name, mode_t type)
{
	char file[PATH_MAX];
	struct stat st;
	if ((size_t)snprintf(file, sizeof file, "%s/%s", path, name) >= sizeof file)
		return false;
	return lstat(file, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

/* The last two names of a path, slashes at its end aside. */
static const char *last_names(const char *path, size_t *len, const char **parent,
			      size_t *parent_len)
{
	size_t end = strlen(path), start;
	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/';)
		start--;
	*len = end - start;
	size_t parent_end = start, parent_start;
	while (parent_end && path[parent_end - 1] == '/')
		parent_end--;
	for (parent_start = parent_end; parent_start && path[parent_start - 1] != '/';)
		parent_start--;
	*parent = path + parent_start;
	*parent_len = parent_end - parent_start;
	return path + start;
}

/* The root of a tree; search/ leads to devices once more, and the trail is the other store's. */
static bool is_root(const char *path)
{
	return has(path, "devices", S_IFDIR) &&
	       (has(path, "audit", S_IFREG) || has(path, "removed", S_IFDIR) ||
		has(path, "search", S_IFDIR));
}

static enum error read_root(struct intake *intake, const char *path)
{
	static const char *const parts[] = {"devices", "removed"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		char part[PATH_MAX];
		if (!has(path, parts[i], S_IFDIR))
			continue;
		if ((size_t)snprintf(part, sizeof part, "%s/%s", path, parts[i]) >= sizeof part)
			return intake_refuse(intake, path, NULL, 0, NULL,
					     fail(ERR_INVALID, "its path is too long"));
		TRY(walk_directory(intake, part));
	}
	return OK;
}

static bool is_device(const char *path)
{
	size_t len, parent_len;
	const char *parent, *name = last_names(path, &len, &parent, &parent_len);
	return udid_valid(name, len) && has(path, "security.json", S_IFREG) &&
	       (has(path, "token", S_IFREG) || has(path, "bootstrap_status", S_IFREG) ||
		has(path, "history", S_IFDIR));
}

static bool tells(const char *path)
{
	return is_root(path) || is_device(path);
}

static enum error read_either(struct intake *intake, const char *path)
{
	if (is_root(path))
		return read_root(intake, path);
	size_t len, parent_len;
	const char *parent;
	(void)last_names(path, &len, &parent, &parent_len);
	return tree_read_device(intake, path,
				parent_len == strlen("removed") &&
					memcmp(parent, "removed", parent_len) == 0);
}

const struct source_kind source_tree = {
	.name = "a sealed tree",
	.tells_directory = tells,
	.read_directory = read_either,
};

enum error tree_read_device(struct intake *intake, const char *path, bool removed)
{
	(void)removed;
	return intake_refuse(intake, path, NULL, 0, NULL,
			     fail(ERR_INVALID, "a device of a sealed tree: not taken in yet"));
}

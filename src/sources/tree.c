/* Sealed trees, device by device: a directory with a device's name and files is one's. */
#include "sources/tree.h"

#include "sources/kinds.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool has(const char *path, const char *name, mode_t type)
{
	char file[4096];
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

static bool tells(const char *path)
{
	size_t len, parent_len;
	const char *parent, *name = last_names(path, &len, &parent, &parent_len);
	return udid_valid(name, len) && has(path, "security.json", S_IFREG) &&
	       (has(path, "token", S_IFREG) || has(path, "bootstrap_status", S_IFREG) ||
		has(path, "history", S_IFDIR));
}

static enum error read_device(struct intake *intake, const char *path)
{
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
	.read_directory = read_device,
};

enum error tree_read_device(struct intake *intake, const char *path, bool removed)
{
	(void)removed;
	return intake_refuse(intake, path, NULL, 0, NULL,
			     fail(ERR_INVALID, "a device of a sealed tree: not taken in yet"));
}

/* Calls that change nothing: the kernel answers most of them from what it keeps. */
#include "client.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL 8
#define TRAIL_PIECE (24 * 1024)

/* ---- a device's files ---- */

void word_read(char *text, size_t n)
{
	text[n] = 0;
	size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
	if (n && letters == n - 1 && text[letters] == '\n')
		text[letters] = 0;
	else
		sprintf(text, "BROKEN, %zu bytes", n);
}

void do_status(struct client *client, const char *device)
{
	call_begins(client);
	int fd = device_open(client, device, "bootstrap_status", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read_all(fd, client->result, RESULT_MAX - 1);
	int error = errno;
	call_ends(client);
	if (n >= 0)
		word_read(client->result, (size_t)n);
	call_told(client, "status", device, "", n < 0 ? outcome(error) : client->result);
	if (fd >= 0)
		close(fd);
}

/* "1", "0", or "?" */
static const char *flag_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_boolean(value) ? json_is_true(value) ? "1" : "0" : "?";
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "?";
}

/* The last versions: number and how it ended, by a letter; the current one by a dash. */
static void tell_versions(const json_t *list, char *out, size_t size)
{
	size_t count = json_array_size(list), len = 0;
	*out = 0;
	for (size_t i = count > TAIL ? count - TAIL : 0; i < count; i++) {
		const json_t *version = json_array_get(list, i);
		const char *ended = text_of(version, "Ended");
		const char *letter = strcmp(ended, "replaced") == 0  ? "r"
				     : strcmp(ended, "removed") == 0 ? "m"
				     : strcmp(ended, "undone") == 0  ? "u"
								     : "-";
		len += (size_t)snprintf(out + len, size - len, "%s%lld%s", len ? "," : "",
					json_integer_value(json_object_get(version, "Number")),
					letter);
	}
}

/* Status, given, OS, approved, how many versions, the last of them, size and length. */
static void tell_security(char *text, size_t len, off_t size)
{
	char told[512], versions[256];
	json_error_t error;
	json_t *root = json_loadb(text, len, 0, &error);
	const json_t *escrow = json_object_get(root, "Escrow");
	const json_t *known = json_object_get(escrow, "Versions");
	tell_versions(known, versions, sizeof versions);
	snprintf(told, sizeof told, "%s %s %s %s %zu [%s] %lld %zu", text_of(escrow, "Status"),
		 flag_of(root, "BootstrapTokenEscrowStatus"), text_of(escrow, "OSVersion"),
		 flag_of(root, "UserApprovedEnrollment"), json_array_size(known), versions,
		 (long long)size, len);
	if (!root)
		snprintf(told, sizeof told, "BROKEN, %zu bytes of %lld, at line %d: %s", len,
			 (long long)size, error.line, error.text);
	memcpy(text, told, sizeof told);
	json_decref(root);
}

void do_security(struct client *client, const char *device)
{
	struct stat attr = {0};
	call_begins(client);
	int fd = device_open(client, device, "security.json", O_RDONLY);
	ssize_t n = fd < 0 || fstat(fd, &attr) ? -1 : read_all(fd, client->result, RESULT_MAX);
	int error = errno;
	call_ends(client);
	if (n >= 0)
		tell_security(client->result, (size_t)n, attr.st_size);
	call_told(client, "security", device, "", n < 0 ? outcome(error) : client->result);
	if (fd >= 0)
		close(fd);
}

void do_stat(struct client *client, const char *device)
{
	static const char *const files[] = {"token", "token", "security.json", "bootstrap_status",
					    ""};
	const char *file = files[dice(client, 5)];
	char path[4096], told[64];
	struct stat attr;
	device_path(client, device, file, path, sizeof path);
	call_begins(client);
	int error = lstat(path, &attr) ? errno : 0;
	call_ends(client);
	if (!error)
		snprintf(told, sizeof told, "%o %lld", attr.st_mode,
			 *file ? (long long)attr.st_size : 0LL);
	call_told(client, "stat", device, *file ? file : ".", error ? outcome(error) : told);
}

void look_at(struct client *client, const char *device)
{
	static void (*const looks[])(struct client *, const char *) = {do_status, do_security,
								       do_stat};
	looks[dice(client, 3)](client, device);
}

/* ---- listings ---- */

/* Its names, with blanks between; a name that isn't of this type has a bang behind it. */
static int list(struct client *client, const char *path, bool attributes, mode_t type)
{
	size_t len = 0;
	*client->result = 0;
	DIR *directory = opendir(path);
	if (!directory)
		return errno;
	const struct dirent *entry;
	while ((errno = 0, entry = readdir(directory))) {
		struct stat attr = {.st_mode = type};
		if (*entry->d_name == '.')
			continue;
		/* It may be gone by now. */
		if (attributes)
			(void)fstatat(dirfd(directory), entry->d_name, &attr, AT_SYMLINK_NOFOLLOW);
		if (len < RESULT_MAX - NAME_MAX - 2)
			len += (size_t)snprintf(client->result + len, RESULT_MAX - len, "%s%s%s",
						len ? " " : "", entry->d_name,
						(attr.st_mode & S_IFMT) == type ? "" : "!");
	}
	int error = errno;
	closedir(directory);
	return error;
}

static void list_and_tell(struct client *client, const char *call, const char *path,
			  const char *argument, mode_t type)
{
	bool attributes = dice(client, 2);
	call_begins(client);
	int error = list(client, path, attributes, type);
	call_ends(client);
	call_told(client, call, "", argument, error ? outcome(error) : client->result);
}

void do_list(struct client *client, const char *device)
{
	(void)device;
	char path[4096];
	snprintf(path, sizeof path, "%s/devices", client->mount);
	list_and_tell(client, "list", path, "", S_IFDIR);
}

void do_list_status(struct client *client, const char *device)
{
	(void)device;
	static const char *const words[] = {"unenrolled",    "stale",	     "escrowed",
					    "not_supported", "not_eligible", "not_escrowed"};
	const char *word = words[dice(client, 6)];
	char path[4096];
	snprintf(path, sizeof path, "%s/search/status/%s", client->mount, word);
	list_and_tell(client, "list status", path, word, S_IFLNK);
}

/* In small letters now and then: ids under /search fold case. */
void do_search(struct client *client, const char *device)
{
	bool serial = dice(client, 2), small = dice(client, 2);
	char path[4096], name[32], target[256];
	snprintf(name, sizeof name, "%s%s", serial ? "SN" : "", device);
	for (char *c = name; small && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	snprintf(path, sizeof path, "%s/search/%s/%s", client->mount,
		 serial ? "serialnumber" : "udid", name);
	call_begins(client);
	ssize_t n = readlink(path, target, sizeof target - 1);
	int error = errno;
	call_ends(client);
	if (n >= 0)
		target[n] = 0;
	call_told(client, "search", device, serial ? "serial" : "udid",
		  n < 0 ? outcome(error) : target);
}

/* ---- the trail and the counters ---- */

static uint32_t crc_of(const char *bytes, size_t n)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint8_t)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* From somewhere near its end to the end: where, how much, what, and the size before. */
void do_trail(struct client *client, const char *device)
{
	(void)device;
	char path[4096], told[128];
	struct stat attr = {0};
	snprintf(path, sizeof path, "%s/audit", client->mount);
	call_begins(client);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 || fstat(fd, &attr) ? errno : 0;
	off_t at = attr.st_size > TRAIL_PIECE ? attr.st_size - (off_t)dice(client, TRAIL_PIECE) : 0;
	size_t len = 0;
	ssize_t n = -1;
	while (!error && len < RESULT_MAX && n != 0) {
		n = pread(fd, client->result + len, RESULT_MAX - len, at + (off_t)len);
		if (n < 0)
			error = errno;
		else
			len += (size_t)n;
	}
	call_ends(client);
	snprintf(told, sizeof told, "%lld %zu %u %lld %s", (long long)at, len,
		 crc_of(client->result, len), (long long)attr.st_size, n == 0 ? "end" : "more");
	call_told(client, "trail", "", "", error ? outcome(error) : told);
	if (fd >= 0)
		close(fd);
}

void do_metrics(struct client *client, const char *device)
{
	(void)device;
	char path[4096], told[128], *line, *rest;
	snprintf(path, sizeof path, "%s/metrics", client->mount);
	call_begins(client);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read_all(fd, client->result, RESULT_MAX - 1);
	int error = errno;
	call_ends(client);
	client->result[n < 0 ? 0 : n] = 0;
	bool whole = n > 0 && client->result[n - 1] == '\n';
	unsigned long long devices = 0, lines = 0, bytes = 0;
	for (line = strtok_r(client->result, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		unsigned long long value = strtoull(line + strcspn(line, " "), NULL, 10);
		if (strncmp(line, "escrowfs_devices{", 17) == 0)
			devices += value;
		else if (strncmp(line, "escrowfs_audit_lines ", 21) == 0)
			lines = value;
		else if (strncmp(line, "escrowfs_audit_bytes ", 21) == 0)
			bytes = value;
	}
	snprintf(told, sizeof told, "%llu %llu %llu", devices, lines, bytes);
	call_told(client, "metrics", "", "", n < 0 ? outcome(error) : whole ? told : "BROKEN: cut");
	if (fd >= 0)
		close(fd);
}

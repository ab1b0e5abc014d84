/* Devices that come and go, their facts, and who may. */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

void do_make(struct client *client, const char *device)
{
	char path[4096];
	device_path(client, device, "", path, sizeof path);
	call_begins(client);
	call_over(client, "make", device, "", mkdir(path, 0700) ? errno : 0);
}

void do_take_away(struct client *client, const char *device)
{
	char path[4096];
	device_path(client, device, "", path, sizeof path);
	call_begins(client);
	call_over(client, "take away", device, "", rmdir(path) ? errno : 0);
}

/* One fact at a time: of a report the part that says nothing new is read over. */
void do_facts(struct client *client, const char *device)
{
	static const struct {
		const char *told, *json;
	} facts[] = {
		{"os 14.1", "{\"OSVersion\": \"14.1\"}"},
		{"os 15.2", "{\"Escrow\": {\"OSVersion\": \"15.2\"}}"},
		{"os 14.1", "{\"OSVersion\": \"14.1\", \"IsCompromised\": true}"},
		{"os 10.14.6", "{\"OSVersion\": \"10.14.6\"}"},
		{"os ?", "{\"OSVersion\": null}"},
		{"approved 1", "{\"UserApprovedEnrollment\": true}"},
		{"approved 1", "{\"UserApprovedEnrollment\": true, \"Status\": \"escrowed\"}"},
		{"approved 0", "{\"UserApprovedEnrollment\": false}"},
	};
	unsigned which = dice(client, sizeof facts / sizeof *facts);
	char json[128];
	int len = snprintf(json, sizeof json, "%s\n", facts[which].json);
	struct text text = {.data = json, .len = (size_t)len};
	call_begins(client);
	int error = open_write_close(client, device, "security.json", &text);
	call_over(client, "facts", device, facts[which].told, error);
}

void do_mode(struct client *client, const char *device)
{
	static const mode_t modes[] = {0600, 0640, 0644, 0400, 0660};
	static const char *const files[] = {"token", "token", "security.json"};
	mode_t mode = modes[dice(client, sizeof modes / sizeof *modes)];
	const char *file = files[dice(client, sizeof files / sizeof *files)];
	char path[4096], argument[32];
	device_path(client, device, file, path, sizeof path);
	snprintf(argument, sizeof argument, "%s %04o", file, mode);
	call_begins(client);
	call_over(client, "mode", device, argument, chmod(path, mode) ? errno : 0);
}

/* user::rw- user:1001:r-- group::--- mask::r-- other::---, as the kernel has it. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entry[5];
} stranger_reads = {2,
		    {{1, 6, UINT32_MAX},
		     {2, 4, 1001},
		     {4, 0, UINT32_MAX},
		     {16, 4, UINT32_MAX},
		     {32, 0, UINT32_MAX}}};

void do_acl(struct client *client, const char *device)
{
	static const char name[] = "system.posix_acl_access";
	bool adds = dice(client, 2);
	char path[4096];
	device_path(client, device, "token", path, sizeof path);
	call_begins(client);
	int failed = adds ? setxattr(path, name, &stranger_reads, sizeof stranger_reads, 0)
			  : removexattr(path, name);
	call_over(client, "acl", device, adds ? "1001" : "", failed ? errno : 0);
}

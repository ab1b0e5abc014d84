#include "tree.h"

#include "catalog.h"
#include "file.h"

#include <stddef.h>

#define PAST_BIT (UINT64_C(1) << 51)
#define LINK_BIT (UINT64_C(1) << 52)
#define LINK_SHIFT 48
#define CHECKIN_BIT (UINT64_C(1) << 53)

#define DIRECTORY .type = S_IFDIR
#define REGULAR .type = S_IFREG
/* clang-format off */
#define BY(by, text, from) \
	{NODE_BY + (by), NODE_SEARCH, text, DIRECTORY, .mode = 0755, .sealed = true, \
	 .catalog = (from)}
#define STATUS(status, text) \
	{NODE_STATUS + (status), NODE_BY + BY_STATUS, text, DIRECTORY, .mode = 0755, \
	 .sealed = true, .catalog = &catalog_status}
#define POLICY(file, text, ...) {NODE_POLICIES + (file), NODE_POLICY, text, __VA_ARGS__}

/*
 * /search alone is the gate of what is below it. /policy/device stands for a directory and is
 * one, so that `chmod X`, `ls -l` and default ACLs mean for it what they will mean for devices;
 * it and the other policies are empty.
 */
const struct entry tree[] = {
	{NODE_ROOT, NODE_ROOT, "", DIRECTORY, .mode = 0755, .sealed = true},
	{NODE_DEVICES, NODE_ROOT, "devices", DIRECTORY, .mode = 0750, .sealed = true,
	 .catalog = &catalog_devices},
	{NODE_CHECKIN, NODE_ROOT, "checkin", REGULAR, .mode = 0600, .fresh = true,
	 .file = &file_checkin},
	{NODE_SEARCH, NODE_ROOT, "search", DIRECTORY, .mode = 0750, .sealed = true},
	{NODE_POLICY, NODE_ROOT, "policy", DIRECTORY, .mode = 0755},
	{NODE_AUDIT, NODE_ROOT, "audit", REGULAR, .mode = 0400, .sealed = true, .fresh = true,
	 .file = &file_trail},
	{NODE_METRICS, NODE_ROOT, "metrics", REGULAR, .mode = 0444, .fresh = true,
	 .file = &file_metrics},
	{NODE_REMOVED, NODE_ROOT, "removed", DIRECTORY, .mode = 0750, .sealed = true,
	 .only_sealed = true, .catalog = &catalog_removed},

	BY(BY_UDID, "udid", &catalog_udid),
	BY(BY_SERIAL, "serialnumber", &catalog_names),
	BY(BY_MAC, "macaddress", &catalog_names),
	BY(BY_IMEI, "imeinumber", &catalog_names),
	BY(BY_DEVICE_ID, "deviceid", &catalog_device_id),
	BY(BY_STATUS, "status", NULL),
	STATUS(STATUS_UNENROLLED, "unenrolled"),
	STATUS(STATUS_STALE, "stale"),
	STATUS(STATUS_ESCROWED, "escrowed"),
	STATUS(STATUS_NOT_SUPPORTED, "not_supported"),
	STATUS(STATUS_NOT_ELIGIBLE, "not_eligible"),
	STATUS(STATUS_NOT_ESCROWED, "not_escrowed"),

	POLICY(FILE_DIRECTORY, "device", DIRECTORY, .mode = 0750),
	POLICY(FILE_SECURITY, "security.json", REGULAR, .mode = 0640, .file = &file_policy),
	POLICY(FILE_STATUS, "bootstrap_status", REGULAR, .mode = 0440, .file = &file_policy),
	POLICY(FILE_TOKEN, "token", REGULAR, .mode = 0600, .file = &file_policy),
};
const int tree_count = sizeof tree / sizeof *tree;

static const struct entry device_tree[FILES_PER_DEVICE] = {
	{FILE_DIRECTORY, NODE_DEVICES, "", DIRECTORY, .mode = 0750, .sealed = true,
	 .policy = NODE_POLICIES + FILE_DIRECTORY},
	{FILE_SECURITY, 0, "security.json", REGULAR, .mode = 0640, .sealed = true,
	 .policy = NODE_POLICIES + FILE_SECURITY, .file = &file_security},
	{FILE_STATUS, 0, "bootstrap_status", REGULAR, .mode = 0440, .sealed = true,
	 .policy = NODE_POLICIES + FILE_STATUS, .file = &file_status},
	{FILE_TOKEN, 0, "token", REGULAR, .mode = 0600, .sealed = true, .fresh = true,
	 .policy = NODE_POLICIES + FILE_TOKEN, .file = &file_token},
};

/* The past is its mounter's alone: unlike a token, nothing was ever set on it. */
static const struct entry past_tree[PAST_COUNT] = {
	{PAST_HISTORY, 0, "", DIRECTORY, .mode = 0700, .sealed = true},
	{PAST_VERSION, 0, "", REGULAR, .mode = 0600, .sealed = true, .file = &file_version},
	{PAST_REMOVED, NODE_REMOVED, "", DIRECTORY, .mode = 0750, .sealed = true},
	{PAST_ABOUT, 0, "security.json", REGULAR, .mode = 0640, .sealed = true, .file = &file_about},
};
const char tree_history[] = "history";

const struct entry tree_link = {.name = "", .type = S_IFLNK, .mode = 0777, .sealed = true};
/* clang-format on */

const struct entry *tree_fixed(uint64_t node)
{
	for (int i = 0; i < tree_count; i++)
		if (tree[i].node == node)
			return &tree[i];
	return NULL;
}

const struct entry *tree_device(enum device_file file)
{
	return &device_tree[file];
}

const struct entry *tree_past(enum past_node past)
{
	return &past_tree[past];
}

bool tree_shown(const struct entry *entry, bool sealed)
{
	return sealed ? entry->sealed : !entry->only_sealed;
}

uint64_t tree_past_node(enum past_node past, int64_t id)
{
	return PAST_BIT | (uint64_t)past << LINK_SHIFT | (uint64_t)id;
}

uint64_t tree_device_node(int64_t device, enum device_file file)
{
	return (uint64_t)device * FILES_PER_DEVICE + file;
}

uint64_t tree_link_node(enum search_by by, int64_t device)
{
	return LINK_BIT | (uint64_t)by << LINK_SHIFT | (uint64_t)device;
}

uint64_t tree_checkin_node(uint64_t count)
{
	return CHECKIN_BIT | count;
}

enum node_kind tree_take_apart(uint64_t node, const struct entry **entry, int64_t *device,
			       enum search_by *by)
{
	*device = 0;
	*by = BY_COUNT;
	if (node & CHECKIN_BIT) {
		*entry = tree_fixed(NODE_CHECKIN);
		return KIND_FIXED;
	}
	if (node & LINK_BIT) {
		*entry = &tree_link;
		*by = (enum search_by)((node & (LINK_BIT - 1)) >> LINK_SHIFT);
		*device = (int64_t)(node & ((UINT64_C(1) << LINK_SHIFT) - 1));
		return KIND_LINK;
	}
	if (node & PAST_BIT) {
		uint64_t past = (node & (PAST_BIT - 1)) >> LINK_SHIFT;
		*entry = past < PAST_COUNT ? &past_tree[past] : NULL;
		*device = (int64_t)(node & ((UINT64_C(1) << LINK_SHIFT) - 1));
		return KIND_PAST;
	}
	if (node < NODE_FIRST_DEVICE) {
		*entry = tree_fixed(node);
		return KIND_FIXED;
	}
	*entry = &device_tree[node % FILES_PER_DEVICE];
	*device = (int64_t)(node / FILES_PER_DEVICE);
	return KIND_DEVICE;
}

/*
 * Every statement of the store. The tables are explained in schema.sql. None of these goes
 * through a whole table but those that say so; tests/unit/test_store_version.c asks the engine.
 *
 * Where thousands are written it counts what the engine does besides. RETURNING makes a table of its
 * own each time that it runs: what a change made is asked for after it. A statement that could fail in
 * the middle copies the pages that it changes: OR FAIL says that it needn't, for what fails is undone
 * as a whole, with the rest of its change.
 */
#include "sql.h"

/* In the order of device_read() in device.c. */
#define DEVICE_COLUMNS                                                                             \
	"d.id, d.udid, d.user_enrolled, d.unenrolled, d.status, d.identity, d.created_at, "        \
	"d.enrolled_at, d.reenrolled_at, d.checked_out_at, d.retrieved_at, d.proven_at, "          \
	"d.escrowed_at, d.security_size, d.token_size, d.security_at, d.status_at, d.token_at, "   \
	"d.change, d.removed_at, d.sealed_size, d.pinned, d.last_version"

/* In the order of read_owner() in access.c. */
#define OWNER_COLUMNS "uid, gid, mode, changed_at, length(acl) + length(default_acl) > 0"

/* In the order of version_read() in version.c. */
#define VERSION_COLUMNS                                                                            \
	"v.id, v.device, v.number, v.escrowed_at, v.confirmed_at, v.sealed_at, v.ended_at, "       \
	"v.ending, v.renewal, v.token_size, v.blob_size, v.mac, v.digest, v.verified, "            \
	"v.generation"

/* In the order of mention_read() in mentions.c. */
#define MENTION_COLUMNS "m.whose, m.number, m.line, m.at, m.kind, m.text"

/* A device's own; those of many come with the device's name. */
#define SELECT_VERSION "SELECT " VERSION_COLUMNS ", '' FROM version v "
#define SELECT_NAMED                                                                               \
	"SELECT " VERSION_COLUMNS ", d.udid FROM version v CROSS JOIN device d ON d.id = "         \
	"v.device "

/* The latest to enrol bears a name that several have. */
#define WINNER_FIRST "ORDER BY max(d.enrolled_at, d.reenrolled_at) DESC, d.id DESC LIMIT 1"

const char *const sql_statements[SQL_COUNT] = {
	/* ---- transactions ---- */

	[SQL_BEGIN] = "BEGIN",
	[SQL_BEGIN_WRITING] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_SAVEPOINT] = "SAVEPOINT job",
	[SQL_ROLLBACK_TO] = "ROLLBACK TO job",
	[SQL_RELEASE] = "RELEASE job",

	/* ---- the store itself ---- */

	[SQL_BIRTH] = "SELECT key, key_uri, made_at FROM store WHERE one = 1",
	[SQL_BIRTH_ADD] = "INSERT INTO store (one, key, key_uri, made_at) VALUES (1, ?1, ?2, ?3)",
	[SQL_STATE] = "SELECT s.uid, s.gid, s.generation, s.unclean, s.rendering, h.devices_at "
		      "FROM store s CROSS JOIN head h WHERE s.one = 1 AND h.one = 1",
	[SQL_OWNER_SAVE] = "UPDATE store SET uid = ?1, gid = ?2 WHERE one = 1",
	[SQL_KEY_URI_SAVE] = "UPDATE store SET key_uri = ?1 WHERE one = 1",
	[SQL_UNCLEAN_ADD] = "UPDATE store SET unclean = unclean + 1 WHERE one = 1",
	[SQL_UNCLEAN_CLEAR] = "UPDATE store SET unclean = 0 WHERE one = 1",
	[SQL_RENDERING_SAVE] = "UPDATE store SET rendering = ?1 WHERE one = 1",
	[SQL_GENERATION_NEXT] = "UPDATE store SET generation = generation + 1 WHERE one = 1",
	[SQL_CHANGE] = "SELECT change FROM head WHERE one = 1",
	[SQL_CHANGE_NEXT] = "UPDATE head SET change = change + 1 WHERE one = 1",
	[SQL_CHANGE_MOVES] = "UPDATE head SET change = change + 1, "
			     "devices_at = max(devices_at + 1, ?1) WHERE one = 1",
	/* What is called so goes through everything. */
	[SQL_CHECK] = "PRAGMA integrity_check(1)",
	[SQL_CHECK_REFERENCES] = "PRAGMA foreign_key_check",
	[SQL_CHECK_TALLY] = "SELECT 1 FROM "
			    "(SELECT status, count(*) AS n FROM device WHERE removed_at = 0 GROUP "
			    "BY status) LEFT JOIN tally USING (status) WHERE devices IS NOT n "
			    "UNION ALL SELECT 1 FROM tally WHERE devices > 0 AND status NOT IN "
			    "(SELECT status FROM device WHERE removed_at = 0)",
	[SQL_CHECK_SEQUENCE] = "SELECT 1 FROM (SELECT 'device' AS of, max(id) AS last FROM device "
			       "UNION ALL SELECT 'version', max(id) FROM version "
			       "UNION ALL SELECT 'name', max(id) FROM name) "
			       "LEFT JOIN sqlite_sequence ON name = of "
			       "WHERE last IS NOT NULL AND (seq IS NULL OR seq < last) "
			       "UNION ALL SELECT 1 FROM device d WHERE last_version < "
			       "(SELECT max(number) FROM version WHERE device = d.id)",
	/* A device's nodes are device.id * 4 + 0 to 3, and numbers under 256 are no device's. */
	[SQL_CHECK_PINNED] = "SELECT udid FROM device d WHERE pinned <> "
			     "(SELECT coalesce(sum(1 << (node % 4)), 0) FROM access "
			     "WHERE node BETWEEN d.id * 4 AND d.id * 4 + 3)",
	/* A line has its newline. */
	[SQL_CHECK_STARTS] = "SELECT t.seq FROM trail t CROSS JOIN trail p ON p.seq = t.seq - 1 "
			     "WHERE t.start <> p.start + length(CAST(p.line AS BLOB)) "
			     "UNION ALL SELECT seq FROM trail WHERE seq = 1 AND start <> 0",

	/* A name that nobody bears is taken out, and with a device all that it bore. */
	[SQL_CHECK_NAMES] = "SELECT 1 FROM name n WHERE NOT EXISTS "
			    "(SELECT 1 FROM bearer WHERE name = n.id) "
			    "UNION ALL SELECT 1 FROM bearer b CROSS JOIN device d ON d.id = "
			    "b.device WHERE d.removed_at <> 0",
	/* The device that was written last has the last number. */
	[SQL_CHECK_CHANGE] = "SELECT 1 FROM head WHERE change <> "
			     "(SELECT coalesce(max(change), 0) FROM device)",
	[SQL_CHECK_GENERATION] =
		"SELECT 1 FROM version WHERE generation > (SELECT generation FROM store)",

	/* ---- devices ---- */

	[SQL_DEVICE] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE id = ?1 AND removed_at = 0",
	[SQL_DEVICE_NAMED] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE udid = ?1 AND "
			     "udid = ?1 COLLATE BINARY AND removed_at = 0",
	[SQL_DEVICE_FOLDED] =
		"SELECT " DEVICE_COLUMNS " FROM device d WHERE udid = ?1 AND removed_at = 0",
	[SQL_DEVICE_ADD] =
		"INSERT INTO device (id, udid, user_enrolled, unenrolled, status, identity, "
		"created_at, enrolled_at, reenrolled_at, checked_out_at, retrieved_at, proven_at, "
		"escrowed_at, security_size, token_size, security_at, status_at, token_at, change, "
		"sealed_size, removed_at, last_version) VALUES (nullif(?21, 0), ?1, ?2, ?3, ?4, "
		"?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "
		"coalesce((SELECT max(last_version) FROM device WHERE udid = ?1 AND "
		"removed_at <> 0), 0)) ON CONFLICT (udid) WHERE removed_at = 0 DO NOTHING",
	/* The name isn't among what is written: it never changes, and its index stays untouched. */
	[SQL_DEVICE_SAVE] =
		"UPDATE device SET user_enrolled = ?2, unenrolled = ?3, "
		"identity = ?4, created_at = ?5, enrolled_at = ?6, reenrolled_at = ?7, "
		"checked_out_at = ?8, retrieved_at = ?9, proven_at = ?10, escrowed_at = ?11, "
		"security_size = ?12, token_size = ?13, security_at = ?14, status_at = ?15, "
		"token_at = ?16, change = ?17, sealed_size = ?18 "
		"WHERE id = ?1 AND removed_at = 0",
	/* Apart, because most changes leave the status and its index as they are. */
	[SQL_DEVICE_TURN] = "UPDATE device SET status = ?2 WHERE id = ?1 AND status <> ?2",
	/* Without the columns that indexes and triggers have. */
	[SQL_DEVICE_FINISH] =
		"UPDATE device SET user_enrolled = ?2, unenrolled = ?3, identity = ?4, "
		"created_at = ?5, enrolled_at = ?6, reenrolled_at = ?7, checked_out_at = ?8, "
		"retrieved_at = ?9, proven_at = ?10, escrowed_at = ?11, security_size = ?12, "
		"token_size = ?13, security_at = ?14, status_at = ?15, token_at = ?16, "
		"sealed_size = ?17 WHERE id = ?1 AND removed_at = 0",
	[SQL_DEVICE_REMOVE] =
		"UPDATE device SET removed_at = ?2, change = ?3, pinned = 0 WHERE id = ?1 AND "
		"removed_at = 0",
	[SQL_REMOVED_TOUCH] = "UPDATE device SET security_at = max(security_at + 1, ?2), "
			      "token_at = max(token_at + 1, ?2), change = ?3 "
			      "WHERE id = ?1 AND removed_at <> 0",
	/* These two: visit.c. */
	[SQL_DEVICES] = "SELECT 1 FROM device WHERE id > ?1 AND "
			"CASE WHEN removed_at = 0 THEN visit(id, udid) END ORDER BY id",
	[SQL_GLANCES] = "SELECT 1 FROM device WHERE id > ?1 AND CASE WHEN removed_at = 0 THEN "
			"visit(id, udid, created_at, pinned) END ORDER BY id",
	[SQL_DEVICES_BETWEEN] = "SELECT " DEVICE_COLUMNS " FROM device d "
				"WHERE id > ?1 AND id <= ?2 AND removed_at = 0 ORDER BY id",
	[SQL_DEVICES_IN_STATUS] = "SELECT id, udid FROM device INDEXED BY device_status "
				  "WHERE removed_at = 0 AND id > ?1 AND status = ?3 "
				  "ORDER BY id LIMIT ?2",
	[SQL_DEVICES_CHANGED] = "SELECT change, id, udid, removed_at <> 0 FROM device "
				"WHERE change > ?1 ORDER BY change LIMIT ?2",
	[SQL_DEVICE_COUNTS] = "SELECT status, devices FROM tally",
	/* Goes through all. */
	[SQL_CENSUS] = "SELECT d.id, d.status, d.token_size, d.escrowed_at, d.enrolled_at, "
		       "d.reenrolled_at, d.created_at, f.fact, f.value FROM device d "
		       "LEFT JOIN fact f ON f.device = d.id AND f.fact BETWEEN ?1 AND ?2 AND "
		       "f.state = ?3 WHERE d.removed_at = 0 ORDER BY d.id",
	[SQL_REMOVED] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE id = ?1 AND removed_at <> 0",
	[SQL_REMOVED_NAMED] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE udid = ?1 AND "
			      "removed_at <> 0 ORDER BY id LIMIT 1",
	/* The row that has the highest number (SQLite: a bare column beside max() is of its row). */
	[SQL_REMOVED_COUNTER] = "SELECT id, max(last_version) FROM device WHERE udid = ?1 AND "
				"removed_at <> 0",
	[SQL_REMOVED_LAST] =
		"SELECT max(removed_at) FROM device WHERE udid = ?1 AND removed_at <> 0",
	[SQL_REMOVED_DEVICES] =
		"SELECT id, udid FROM device d INDEXED BY device_gone WHERE removed_at <> 0 AND id "
		"> ?1 AND NOT EXISTS "
		"(SELECT 1 FROM device e WHERE e.udid = d.udid AND e.removed_at <> 0 AND "
		"e.id < d.id) AND EXISTS (SELECT 1 FROM device e CROSS JOIN version v ON "
		"v.device = e.id WHERE e.udid = d.udid AND e.removed_at <> 0) "
		"ORDER BY id LIMIT ?2",

	/* ---- facts ---- */

	[SQL_FACTS] = "SELECT fact, value, at, source, state FROM fact WHERE device = ?1",
	[SQL_FACT_SAVE] = "INSERT INTO fact (device, fact, value, at, source, state) "
			  "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device, fact) DO UPDATE "
			  "SET value = ?3, at = ?4, source = ?5, state = ?6",
	[SQL_FACT_DELETE] = "DELETE FROM fact WHERE device = ?1 AND fact = ?2",
	[SQL_FACTS_DELETE] = "DELETE FROM fact WHERE device = ?1",

	/* ---- names ---- */

	[SQL_NAME] = "SELECT " DEVICE_COLUMNS " FROM name n CROSS JOIN bearer b ON b.name = n.id "
		     "CROSS JOIN device d ON d.id = b.device WHERE n.kind = ?1 AND n.name = "
		     "?2 " WINNER_FIRST,
	[SQL_NAMES] = "SELECT n.id, n.name, (SELECT d.id FROM bearer b CROSS JOIN device d "
		      "ON d.id = b.device WHERE b.name = n.id " WINNER_FIRST ") "
		      "FROM name n INDEXED BY name_kind WHERE n.kind = ?1 AND n.id > ?2 "
		      "ORDER BY n.id LIMIT ?3",
	[SQL_NAMES_OF_DEVICE] = "SELECT n.id, n.name FROM bearer b CROSS JOIN name n "
				"ON n.id = b.name WHERE b.device = ?1 AND n.kind = ?2",
	[SQL_NAMES_BORNE] = "SELECT n.kind, n.name FROM bearer b CROSS JOIN name n "
			    "ON n.id = b.name WHERE b.device = ?1",
	[SQL_NAME_ADD] = "INSERT INTO name (kind, name) VALUES (?1, ?2) "
			 "ON CONFLICT (kind, name) DO NOTHING",
	[SQL_BEARER_ADD] = "INSERT INTO bearer (device, name) "
			   "VALUES (?1, (SELECT id FROM name WHERE kind = ?2 AND name = ?3)) "
			   "ON CONFLICT (device, name) DO NOTHING",
	[SQL_BEARER_DELETE] = "DELETE FROM bearer WHERE device = ?1 AND name = ?2",
	[SQL_NAME_DELETE] = "DELETE FROM name WHERE id = ?1 AND "
			    "NOT EXISTS (SELECT 1 FROM bearer WHERE name = ?1)",

	/* ---- versions ---- */

	[SQL_VERSION] = SELECT_VERSION "WHERE v.id = ?1",
	[SQL_VERSIONS_UNVERIFIED] = "SELECT count(*) FROM version WHERE verified = 0",
	[SQL_VERSION_CURRENT] = SELECT_VERSION "WHERE v.device = ?1 AND v.ended_at = 0",
	[SQL_VERSION_NUMBERED] = SELECT_VERSION "WHERE v.device = ?1 AND v.number = ?2",
	[SQL_VERSION_WITH_MAC] = SELECT_VERSION "WHERE v.device = ?1 AND v.mac = ?2 "
						"ORDER BY v.number DESC LIMIT 1",
	[SQL_VERSIONS_OF_DEVICE] =
		SELECT_VERSION "WHERE v.device = ?1 AND v.id > ?2 ORDER BY v.number",
	[SQL_VERSIONS] = SELECT_NAMED "WHERE v.id > ?1 ORDER BY v.id",
	/* Goes through the rest of them in the order of an index, from a cursor on. */
	[SQL_VERSIONS_ENDED] =
		SELECT_NAMED "WHERE (v.device, v.number) > (?1, ?2) AND v.ended_at <> 0 AND "
			     "v.ended_at < ?3 ORDER BY v.device, v.number",
	/* The order is that of the numbers, too: they go on from one device of a name to the next. */
	[SQL_VERSIONS_REMOVED] =
		"SELECT " VERSION_COLUMNS ", d.udid FROM device d CROSS JOIN version v "
		"ON v.device = d.id WHERE d.udid = ?1 AND d.removed_at <> 0 "
		"ORDER BY d.id, v.number",
	[SQL_VERSIONS_PRESENT] =
		"SELECT " VERSION_COLUMNS ", d.udid FROM device d CROSS JOIN version v "
		"ON v.device = d.id WHERE d.udid = ?1 AND d.removed_at = 0 "
		"ORDER BY d.id, v.number",
	[SQL_VERSION_NUMBER_NEXT] =
		"SELECT last_version + 1 FROM device WHERE id = ?1 AND removed_at = 0",
	[SQL_VERSION_NUMBER_OF] = "SELECT last_version + 1 FROM device WHERE id = ?1",
	[SQL_VERSION_ADD] =
		"INSERT INTO version (device, number, escrowed_at, confirmed_at, sealed_at, "
		"ended_at, ending, renewal, token_size, blob_size, mac, digest, verified, "
		"generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
		"ON CONFLICT (device) WHERE ended_at = 0 DO NOTHING",
	[SQL_VERSION_NUMBER_USED] = "UPDATE device SET last_version = max(last_version, ?2) "
				    "WHERE id = ?1",
	[SQL_VERSION_SAVE] = "UPDATE version SET escrowed_at = ?2, confirmed_at = ?3, "
			     "sealed_at = ?4, ended_at = ?5, ending = ?6, renewal = ?7, "
			     "token_size = ?8, mac = ?9, digest = ?10, verified = ?11 "
			     "WHERE id = ?1",
	[SQL_VERSION_RESEAL] = "UPDATE version SET sealed_at = ?2, token_size = ?3, "
			       "blob_size = ?4, mac = ?5, digest = ?6, verified = ?7, "
			       "generation = ?8 WHERE id = ?1",
	[SQL_VERSION_DELETE] = "DELETE FROM version WHERE id = ?1",
	[SQL_BLOB_SAVE] = "UPDATE sealed SET blob = ?2 WHERE version = ?1",
	[SQL_BLOB_DELETE] = "DELETE FROM sealed WHERE version = ?1",
	[SQL_BLOB] = "SELECT blob FROM sealed WHERE version = ?1",
	[SQL_BLOB_ADD] = "INSERT INTO sealed (version, blob) VALUES (?1, ?2)",

	/* ---- access, recipients ---- */

	[SQL_ACCESS] = "SELECT " OWNER_COLUMNS ", acl, default_acl FROM access "
		       "WHERE node = ?1",
	[SQL_ACCESS_SAVE] = "INSERT INTO access (node, uid, gid, mode, acl, default_acl, "
			    "changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
			    "ON CONFLICT (node) DO UPDATE SET uid = ?2, gid = ?3, mode = ?4, "
			    "acl = ?5, default_acl = ?6, changed_at = ?7",
	[SQL_ACCESS_PIN] = "UPDATE device SET pinned = pinned | ?2 WHERE id = ?1",
	[SQL_OWNER] = "SELECT " OWNER_COLUMNS " FROM access WHERE node = ?1",
	[SQL_OWNERS] = "SELECT " OWNER_COLUMNS ", node FROM access WHERE node < ?1",
	/* All of them. */
	[SQL_ACCESSES] =
		"SELECT " OWNER_COLUMNS ", acl, default_acl, node FROM access ORDER BY node",
	[SQL_ACCESS_DELETE] = "DELETE FROM access WHERE node BETWEEN ?1 AND ?2",
	/* They are few. */
	[SQL_RECIPIENTS] = "SELECT name, added_at, certificate FROM recipient "
			   "WHERE retired_at = 0 ORDER BY id",
	[SQL_RECIPIENT] = "SELECT name FROM recipient WHERE certificate = ?1 AND retired_at = 0",
	[SQL_RECIPIENT_ADD] = "INSERT INTO recipient (name, added_at, certificate) "
			      "VALUES (?1, ?2, ?3) ON CONFLICT (certificate) DO UPDATE "
			      "SET name = ?1, added_at = ?2, retired_at = 0",
	[SQL_RECIPIENT_RETIRE] = "UPDATE recipient SET retired_at = ?2 "
				 "WHERE certificate = ?1 AND retired_at = 0",

	/* ---- strangers ---- */

	[SQL_STRANGER] = "SELECT identity, at FROM stranger WHERE device = ?1",
	/* All of them. */
	[SQL_STRANGERS] = "SELECT s.identity, s.at, d.udid, d.identity FROM stranger s "
			  "CROSS JOIN device d ON d.id = s.device ORDER BY s.device",
	[SQL_STRANGER_SAVE] = "INSERT INTO stranger (device, identity, at) VALUES (?1, ?2, ?3) "
			      "ON CONFLICT (device) DO UPDATE SET identity = ?2, at = ?3",
	[SQL_STRANGER_DELETE] = "DELETE FROM stranger WHERE device = ?1",

	/* ---- the trail ---- */

	[SQL_TRAIL_END] =
		"SELECT trail_seq, trail_chain, trail_size, trail_at FROM head WHERE one = 1",
	/* Nothing is added when ?1 isn't the next line's number. */
	[SQL_TRAIL_ADD] =
		"INSERT OR FAIL INTO trail (seq, at, start, line) SELECT ?1, ?2, trail_size, ?3 "
		"FROM head WHERE one = 1 AND trail_seq = ?1 - 1",
	[SQL_TRAIL_END_MOVE] = "UPDATE head SET trail_seq = ?1, trail_at = ?2, "
			       "trail_size = trail_size + ?3, trail_chain = ?4 WHERE one = 1",
	[SQL_TRAIL_AT] = "SELECT start, line FROM trail WHERE start >= "
			 "(SELECT max(start) FROM trail WHERE start <= ?1) ORDER BY start",
	[SQL_TRAIL] = "SELECT seq, line, at FROM trail WHERE seq >= ?1 ORDER BY seq",

	/* ---- mentions ---- */

	[SQL_MENTION_ADD] = "INSERT INTO mention (whose, number, line, at, kind, text) "
			    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_MENTION_LAST] = "SELECT " MENTION_COLUMNS ", id FROM mention m WHERE whose = ?1 AND "
			     "number = ?2 AND text <> '' ORDER BY id DESC LIMIT 1",
	[SQL_MENTION_FOUND] = "UPDATE mention SET found = 1 WHERE id = ?1",
	/* Sorts what is said of one name. */
	[SQL_MENTIONS_OF] =
		"SELECT " MENTION_COLUMNS " FROM mention m WHERE whose = ?1 ORDER BY id",
	/* Goes through all. */
	[SQL_MENTIONS_LEFT] = "SELECT " MENTION_COLUMNS " FROM mention m WHERE found = 0 AND "
			      "text <> '' AND NOT EXISTS (SELECT 1 FROM mention later WHERE "
			      "later.whose = m.whose AND later.number = m.number AND "
			      "later.text <> '' AND later.id > m.id) ORDER BY id",
};

/*
 * Every statement of the store. The tables are explained in schema.sql. None of these goes
 * through a whole table but those that say so; tests/unit/test_store_plan.c asks the engine.
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
	"d.change, d.removed_at, d.sealed_size"

/* In the order of version_read() in version.c; the last one is the device's name. */
#define VERSION_COLUMNS                                                                            \
	"v.id, v.device, v.number, v.escrowed_at, v.confirmed_at, v.sealed_at, v.ended_at, "       \
	"v.ending, v.renewal, v.token_size, v.blob_size, v.mac, v.digest, v.verified, "            \
	"v.generation, d.udid"

#define SELECT_VERSION                                                                             \
	"SELECT " VERSION_COLUMNS " FROM version v CROSS JOIN device d ON d.id = v.device "

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
	[SQL_DEVICES_MOVED] = "UPDATE head SET devices_at = max(devices_at + 1, ?1) WHERE one = 1",
	[SQL_CHANGE] = "SELECT change FROM head WHERE one = 1",
	[SQL_CHANGE_NEXT] = "UPDATE head SET change = change + 1 WHERE one = 1",
	/* These three go through everything. */
	[SQL_CHECK] = "PRAGMA integrity_check(1)",
	[SQL_CHECK_REFERENCES] = "PRAGMA foreign_key_check",
	[SQL_CHECK_TALLY] = "SELECT 1 FROM "
			    "(SELECT status, count(*) AS n FROM device WHERE removed_at = 0 GROUP "
			    "BY status) LEFT JOIN tally USING (status) WHERE devices IS NOT n "
			    "UNION ALL SELECT 1 FROM tally WHERE devices > 0 AND status NOT IN "
			    "(SELECT status FROM device WHERE removed_at = 0)",

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
		"removed_at <> 0), 0))",
	/* The name isn't among what is written: it never changes, and its index stays untouched. */
	[SQL_DEVICE_SAVE] =
		"UPDATE device SET user_enrolled = ?2, unenrolled = ?3, status = ?4, "
		"identity = ?5, created_at = ?6, enrolled_at = ?7, reenrolled_at = ?8, "
		"checked_out_at = ?9, retrieved_at = ?10, proven_at = ?11, escrowed_at = ?12, "
		"security_size = ?13, token_size = ?14, security_at = ?15, status_at = ?16, "
		"token_at = ?17, change = ?18, sealed_size = ?19 "
		"WHERE id = ?1 AND removed_at = 0",
	/* Without the columns that indexes and triggers have. */
	[SQL_DEVICE_FINISH] =
		"UPDATE device SET user_enrolled = ?2, unenrolled = ?3, identity = ?4, "
		"created_at = ?5, enrolled_at = ?6, reenrolled_at = ?7, checked_out_at = ?8, "
		"retrieved_at = ?9, proven_at = ?10, escrowed_at = ?11, security_size = ?12, "
		"token_size = ?13, security_at = ?14, status_at = ?15, token_at = ?16, "
		"sealed_size = ?17 WHERE id = ?1 AND removed_at = 0",
	[SQL_DEVICE_REMOVE] =
		"UPDATE device SET removed_at = ?2, change = ?3 WHERE id = ?1 AND removed_at = 0",
	[SQL_REMOVED_TOUCH] = "UPDATE device SET security_at = max(security_at + 1, ?2), "
			      "token_at = max(token_at + 1, ?2), change = ?3 "
			      "WHERE id = ?1 AND removed_at <> 0",
	[SQL_DEVICES] = "SELECT id, udid FROM device WHERE removed_at = 0 AND id > ?1 "
			"ORDER BY id LIMIT ?2",
	[SQL_DEVICES_IN_STATUS] = "SELECT id, udid FROM device INDEXED BY device_status "
				  "WHERE removed_at = 0 AND id > ?1 AND status = ?3 "
				  "ORDER BY id LIMIT ?2",
	[SQL_DEVICES_CHANGED] = "SELECT change, id, udid, removed_at <> 0 FROM device "
				"WHERE change > ?1 ORDER BY change LIMIT ?2",
	[SQL_DEVICE_COUNTS] = "SELECT status, devices FROM tally",
	[SQL_REMOVED] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE id = ?1 AND removed_at <> 0",
	[SQL_REMOVED_NAMED] = "SELECT " DEVICE_COLUMNS " FROM device d WHERE udid = ?1 AND "
			      "removed_at <> 0 ORDER BY id LIMIT 1",
	[SQL_REMOVED_LAST] =
		"SELECT max(removed_at) FROM device WHERE udid = ?1 AND removed_at <> 0",
	/* Goes through all devices: removed ones are few, and only backups ask. */
	[SQL_REMOVED_DEVICES] =
		"SELECT id, udid FROM device d WHERE removed_at <> 0 AND id > ?1 AND NOT EXISTS "
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
	[SQL_NAMES] = "SELECT n.id, n.name, (SELECT d.udid FROM bearer b CROSS JOIN device d "
		      "ON d.id = b.device WHERE b.name = n.id " WINNER_FIRST ") "
		      "FROM name n INDEXED BY name_kind WHERE n.kind = ?1 AND n.id > ?2 "
		      "ORDER BY n.id LIMIT ?3",
	[SQL_NAMES_OF_DEVICE] = "SELECT n.id, n.name FROM bearer b CROSS JOIN name n "
				"ON n.id = b.name WHERE b.device = ?1 AND n.kind = ?2",
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
	[SQL_VERSIONS] = SELECT_VERSION "WHERE v.id > ?1 ORDER BY v.id",
	/* Goes through the rest of them in the order of an index, from a cursor on. */
	[SQL_VERSIONS_ENDED] =
		SELECT_VERSION "WHERE (v.device, v.number) > (?1, ?2) AND v.ended_at <> 0 AND "
			       "v.ended_at < ?3 ORDER BY v.device, v.number",
	/* The order is that of the numbers, too: they go on from one device of a name to the next. */
	[SQL_VERSIONS_REMOVED] = "SELECT " VERSION_COLUMNS " FROM device d CROSS JOIN version v "
				 "ON v.device = d.id WHERE d.udid = ?1 AND d.removed_at <> 0 "
				 "ORDER BY d.id, v.number",
	[SQL_VERSIONS_PRESENT] = "SELECT " VERSION_COLUMNS " FROM device d CROSS JOIN version v "
				 "ON v.device = d.id WHERE d.udid = ?1 AND d.removed_at = 0 "
				 "ORDER BY d.id, v.number",
	[SQL_VERSION_NUMBER_NEXT] = "SELECT last_version + 1 FROM device WHERE id = ?1",
	[SQL_VERSION_ADD] =
		"INSERT INTO version (device, number, escrowed_at, confirmed_at, sealed_at, "
		"ended_at, ending, renewal, token_size, blob_size, mac, digest, verified, "
		"generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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

	[SQL_ACCESS] = "SELECT uid, gid, mode, acl, default_acl, changed_at FROM access "
		       "WHERE node = ?1",
	[SQL_ACCESS_SAVE] = "INSERT INTO access (node, uid, gid, mode, acl, default_acl, "
			    "changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
			    "ON CONFLICT (node) DO UPDATE SET uid = ?2, gid = ?3, mode = ?4, "
			    "acl = ?5, default_acl = ?6, changed_at = ?7",
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
	[SQL_TRAIL] = "SELECT seq, line FROM trail WHERE seq >= ?1 ORDER BY seq",
};

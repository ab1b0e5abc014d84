-- The tables as schema 1 had them: what a store of the first escrowfs looks like. Never changed.
CREATE TABLE store (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	key BLOB NOT NULL CHECK (length(key) = 32),
	key_uri TEXT NOT NULL,
	made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE head (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	change INTEGER NOT NULL,
	trail_seq INTEGER NOT NULL,
	trail_at INTEGER NOT NULL,
	trail_size INTEGER NOT NULL,
	trail_chain BLOB NOT NULL CHECK (length(trail_chain) = 32)
) STRICT;

CREATE TABLE device (

	id INTEGER PRIMARY KEY AUTOINCREMENT,
	udid TEXT NOT NULL COLLATE NOCASE
		CHECK (length(udid) BETWEEN 1 AND 64 AND udid NOT GLOB '*[^A-Za-z0-9-]*'),

	removed_at INTEGER NOT NULL DEFAULT 0,
	change INTEGER NOT NULL,
	status INTEGER NOT NULL,
	user_enrolled INTEGER NOT NULL,
	unenrolled INTEGER NOT NULL,
	identity TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	enrolled_at INTEGER NOT NULL,
	reenrolled_at INTEGER NOT NULL,
	checked_out_at INTEGER NOT NULL,
	retrieved_at INTEGER NOT NULL,
	proven_at INTEGER NOT NULL,
	escrowed_at INTEGER NOT NULL,

	security_size INTEGER NOT NULL,
	token_size INTEGER NOT NULL,
	security_at INTEGER NOT NULL,
	status_at INTEGER NOT NULL,
	token_at INTEGER NOT NULL,

	last_version INTEGER NOT NULL
) STRICT;

INSERT INTO sqlite_sequence (name, seq) VALUES ('device', 255);

CREATE UNIQUE INDEX device_udid ON device (udid) WHERE removed_at = 0;
CREATE INDEX device_removed ON device (udid) WHERE removed_at <> 0;
CREATE INDEX device_status ON device (status) WHERE removed_at = 0;
CREATE UNIQUE INDEX device_change ON device (change);

CREATE TABLE tally (
	status INTEGER PRIMARY KEY,
	devices INTEGER NOT NULL CHECK (devices >= 0)
) STRICT;

CREATE TRIGGER tally_added AFTER INSERT ON device WHEN new.removed_at = 0
BEGIN
	INSERT INTO tally (status, devices) VALUES (new.status, 1)
		ON CONFLICT (status) DO UPDATE SET devices = devices + 1;
END;

CREATE TRIGGER tally_moved AFTER UPDATE OF status ON device
	WHEN old.status <> new.status AND new.removed_at = 0
BEGIN
	UPDATE tally SET devices = devices - 1 WHERE status = old.status;
	INSERT INTO tally (status, devices) VALUES (new.status, 1)
		ON CONFLICT (status) DO UPDATE SET devices = devices + 1;
END;

CREATE TRIGGER tally_removed AFTER UPDATE OF removed_at ON device
	WHEN old.removed_at = 0 AND new.removed_at <> 0
BEGIN
	UPDATE tally SET devices = devices - 1 WHERE status = old.status;
END;

CREATE TABLE fact (
	device INTEGER NOT NULL REFERENCES device (id),
	fact INTEGER NOT NULL,
	value ANY NOT NULL,
	at INTEGER NOT NULL,
	source INTEGER NOT NULL,
	state INTEGER NOT NULL,
	PRIMARY KEY (device, fact)
) STRICT, WITHOUT ROWID;

CREATE TABLE name (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	kind INTEGER NOT NULL,
	name TEXT NOT NULL,
	UNIQUE (kind, name)
) STRICT;

CREATE INDEX name_kind ON name (kind);

CREATE TABLE bearer (
	device INTEGER NOT NULL REFERENCES device (id),
	name INTEGER NOT NULL REFERENCES name (id),
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX bearer_name ON bearer (name);

CREATE TABLE version (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	device INTEGER NOT NULL REFERENCES device (id),
	number INTEGER NOT NULL CHECK (number >= 1),
	escrowed_at INTEGER NOT NULL,
	confirmed_at INTEGER NOT NULL,
	sealed_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL,
	ending INTEGER NOT NULL,
	renewal INTEGER NOT NULL,
	token_size INTEGER NOT NULL,
	blob_size INTEGER NOT NULL,
	mac BLOB NOT NULL CHECK (length(mac) = 32),
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	verified INTEGER NOT NULL,
	UNIQUE (device, number)
) STRICT;

CREATE UNIQUE INDEX version_current ON version (device) WHERE ended_at = 0;

CREATE TABLE sealed (
	version INTEGER PRIMARY KEY REFERENCES version (id),
	blob BLOB NOT NULL
) STRICT;

CREATE TABLE access (
	node INTEGER PRIMARY KEY,
	uid INTEGER NOT NULL,
	gid INTEGER NOT NULL,
	mode INTEGER NOT NULL,
	acl BLOB NOT NULL,
	default_acl BLOB NOT NULL,
	changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE recipient (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	certificate BLOB NOT NULL UNIQUE,
	added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE trail (
	seq INTEGER PRIMARY KEY,
	at INTEGER NOT NULL,
	start INTEGER NOT NULL UNIQUE,
	line TEXT NOT NULL
) STRICT;

INSERT INTO head VALUES (1, 0, 0, 0, 0, zeroblob(32));

INSERT INTO store (one, key, key_uri, made_at) VALUES (1, zeroblob(32), '', 7);
INSERT INTO device VALUES (256, 'A', 0, 1, 5, 0, 0, '', 100, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0);
PRAGMA application_id = 1165190002;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;

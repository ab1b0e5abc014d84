-- The store of escrowfs: one SQLite database, escrow.db, in the store's directory.
--
-- What a new store is made with. An older one is brought here step by step (schema.c). The file's
-- header says by its application_id that it is ours, by its user_version which schema it has.
--
-- Times are nanoseconds since 1970 UTC; 0 is never. Words are kept as the numbers of an enum of
-- include/store.h or include/facts.h: those numbers never change. Yes and no are 1 and 0.
-- Nothing in here is plaintext: a token lies in `sealed` only, as CMS.

-- What the store was born with. One row.
CREATE TABLE store (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	key BLOB NOT NULL CHECK (length(key) = 32), -- of the HMAC under which tokens are compared
	key_uri TEXT NOT NULL, -- where the daily key is; '' is the default place beside the store
	made_at INTEGER NOT NULL,
	-- Who owned the mount that served it last, for sealed mounts: they show the same whoever
	-- makes them. -1: none has yet.
	uid INTEGER NOT NULL DEFAULT -1,
	gid INTEGER NOT NULL DEFAULT -1,
	-- How many times its recipients were changed: a version is sealed to those of one number.
	generation INTEGER NOT NULL DEFAULT 0,
	-- How many times seals were taken out that its files may still hold; 0 once they were compacted.
	unclean INTEGER NOT NULL DEFAULT 0,
	-- Which program's security.json the sizes in `device` are of.
	rendering INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What every change moves on, in one row: to ask for it costs the same in a store of any size.
CREATE TABLE head (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	change INTEGER NOT NULL, -- grows by one with each device that is written
	trail_seq INTEGER NOT NULL, -- the last line of the trail; 0 before the first
	trail_at INTEGER NOT NULL, -- when it was added
	trail_size INTEGER NOT NULL, -- bytes of all lines
	trail_chain BLOB NOT NULL CHECK (length(trail_chain) = 32), -- what the last line's chain is
	devices_at INTEGER NOT NULL DEFAULT 0 -- when a device last came or went
) STRICT;

CREATE TABLE device (
	-- The DeviceId of security.json. The tree's inode numbers are made of it, so it is never
	-- used again; numbers under 256 are the tree's own (see the seed below).
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	udid TEXT NOT NULL COLLATE NOCASE -- as the device sends it
		CHECK (length(udid) BETWEEN 1 AND 64 AND udid NOT GLOB '*[^A-Za-z0-9-]*'),
	-- When it was taken away. The row stays, because its versions do; another device of this
	-- name gets a row of its own.
	removed_at INTEGER NOT NULL DEFAULT 0,
	change INTEGER NOT NULL, -- head.change as it was then
	status INTEGER NOT NULL, -- enum status
	user_enrolled INTEGER NOT NULL, -- known by its EnrollmentID
	unenrolled INTEGER NOT NULL, -- it sent CheckOut, and nothing since
	identity TEXT NOT NULL, -- hex SHA-256 of its client certificate, or ''
	created_at INTEGER NOT NULL,
	enrolled_at INTEGER NOT NULL,
	reenrolled_at INTEGER NOT NULL,
	checked_out_at INTEGER NOT NULL,
	retrieved_at INTEGER NOT NULL,
	proven_at INTEGER NOT NULL,
	escrowed_at INTEGER NOT NULL,
	-- Sizes and times of its three files, so that stat(2) and listings read this row alone.
	security_size INTEGER NOT NULL,
	token_size INTEGER NOT NULL, -- 0: none is escrowed
	security_at INTEGER NOT NULL,
	status_at INTEGER NOT NULL,
	token_at INTEGER NOT NULL,
	-- The highest version number that this UDID ever had, here or in a removed row: a number
	-- names one version for ever, also after a purge.
	last_version INTEGER NOT NULL,
	sealed_size INTEGER NOT NULL DEFAULT 0, -- of security.json in a sealed mount
	pinned INTEGER NOT NULL DEFAULT 0 -- which of its nodes have a row in `access`: 1 << (node % 4)
) STRICT;

INSERT INTO sqlite_sequence (name, seq) VALUES ('device', 255);

-- One device a name, in any case of letters, among those that are there.
CREATE UNIQUE INDEX device_udid ON device (udid) WHERE removed_at = 0;
CREATE INDEX device_removed ON device (udid) WHERE removed_at <> 0;
CREATE INDEX device_gone ON device (id) WHERE removed_at <> 0;
CREATE INDEX device_status ON device (status) WHERE removed_at = 0;
CREATE UNIQUE INDEX device_change ON device (change);

-- How many devices are in each status, kept by the triggers: statfs and metrics ask all the time.
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

-- What devices and people reported, newest only. A fact that was never reported has no row.
CREATE TABLE fact (
	device INTEGER NOT NULL REFERENCES device (id),
	fact INTEGER NOT NULL, -- enum fact_name
	value ANY NOT NULL, -- a number for a flag, else text
	at INTEGER NOT NULL,
	source INTEGER NOT NULL, -- enum fact_source
	state INTEGER NOT NULL, -- enum fact_state
	PRIMARY KEY (device, fact)
) STRICT, WITHOUT ROWID;

-- Names under /search, each once, folded as they are looked up. The id is the cursor of listings
-- and never comes again.
CREATE TABLE name (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	kind INTEGER NOT NULL, -- enum name_kind
	name TEXT NOT NULL,
	UNIQUE (kind, name)
) STRICT;

CREATE INDEX name_kind ON name (kind);

-- Which devices have a name: more than one when a serial number moved to a new UDID. The latest to
-- enrol wins, which is settled when it is asked. A name that nobody has any more is deleted.
CREATE TABLE bearer (
	device INTEGER NOT NULL REFERENCES device (id),
	name INTEGER NOT NULL REFERENCES name (id),
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX bearer_name ON bearer (name);

-- Every token that was ever escrowed, without the token.
CREATE TABLE version (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	device INTEGER NOT NULL REFERENCES device (id),
	number INTEGER NOT NULL CHECK (number >= 1), -- within the UDID: see device.last_version
	escrowed_at INTEGER NOT NULL,
	confirmed_at INTEGER NOT NULL, -- when the same token was last escrowed again
	sealed_at INTEGER NOT NULL,
	ended_at INTEGER NOT NULL, -- 0: the current one
	ending INTEGER NOT NULL, -- enum version_end: why it ended
	renewal INTEGER NOT NULL, -- enum version_renewal: what the device did since
	token_size INTEGER NOT NULL, -- bytes of plaintext
	blob_size INTEGER NOT NULL, -- bytes of the seal
	mac BLOB NOT NULL CHECK (length(mac) = 32), -- of the token, under the store's key
	digest BLOB NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the seal
	verified INTEGER NOT NULL, -- it was opened here
	generation INTEGER NOT NULL DEFAULT 0, -- of the recipients that it is sealed to: store.generation
	UNIQUE (device, number)
) STRICT;

-- A device has one token at a time.
CREATE UNIQUE INDEX version_current ON version (device) WHERE ended_at = 0;
CREATE INDEX version_unverified ON version (verified) WHERE verified = 0;

-- The seals, in a table of their own: to end or confirm a version doesn't write its seal again.
CREATE TABLE sealed (
	version INTEGER PRIMARY KEY REFERENCES version (id),
	blob BLOB NOT NULL -- CMS AuthEnvelopedData, DER
) STRICT;

-- Owners, modes and ACLs that somebody set. A node without a row has what its policy says.
CREATE TABLE access (
	node INTEGER PRIMARY KEY, -- the inode number; a device's are device.id * 4 + 0 to 3
	uid INTEGER NOT NULL,
	gid INTEGER NOT NULL,
	mode INTEGER NOT NULL, -- permission bits
	acl BLOB NOT NULL, -- system.posix_acl_access as the kernel writes it; empty: none
	default_acl BLOB NOT NULL,
	changed_at INTEGER NOT NULL
) STRICT;

-- The certificates to which everything is sealed.
CREATE TABLE recipient (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	certificate BLOB NOT NULL UNIQUE, -- DER
	added_at INTEGER NOT NULL,
	retired_at INTEGER NOT NULL DEFAULT 0 -- 0: everything is sealed to it
) STRICT;

-- The last client certificate that a device came with and that wasn't its own (device.identity), on a
-- mount that is strict about it. Its device escrows with it, or somebody accepts it: then it is.
CREATE TABLE stranger (
	device INTEGER PRIMARY KEY REFERENCES device (id),
	identity TEXT NOT NULL, -- hex SHA-256
	at INTEGER NOT NULL -- when it came first
) STRICT;

-- The audit trail: the exact bytes that /audit shows, one row a line, newline included.
CREATE TABLE trail (
	seq INTEGER PRIMARY KEY, -- 1, 2, 3 ...
	at INTEGER NOT NULL,
	start INTEGER NOT NULL UNIQUE, -- bytes before this line: where a read at an offset begins
	line TEXT NOT NULL
) STRICT;

INSERT INTO head (one, change, trail_seq, trail_at, trail_size, trail_chain)
	VALUES (1, 0, 0, 0, 0, zeroblob(32));

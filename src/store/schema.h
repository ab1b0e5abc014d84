#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "inside.h"

/*
 * Which tables a store has. schema.sql makes a new one as this version has it; an older one is
 * brought here by steps, each in a transaction of its own, so that a step that fails leaves the
 * store as it was before it.
 */

#define SCHEMA_APPLICATION 0x45736372 /* "Escr", in the file's header */
#define SCHEMA_VERSION 4

/* The text of schema.sql (schema_text.c). */
extern const char schema_sql[];

/* migrations[i] leads from schema i + 1 to i + 2. */
struct migration {
	const char *sql;
};

/* Makes the tables, in the transaction that runs. */
enum error schema_create(struct tx *);

/* Is it ours, and not from a later version? ERR_INVALID. */
enum error schema_check(struct tx *);

/*
 * Brings a store of an older version to version `count` + 1. Takes the lock that says who serves
 * it, if this process doesn't have it: an older program must not go on while its tables change
 * (ERR_BUSY).
 */
enum error schema_migrate(struct store *, struct tx *, const struct migration *, int count);

/* As above, with the real steps. Reading only: ERR_INVALID for an older store. */
enum error schema_bring_up(struct store *, struct tx *, bool writable);

#endif

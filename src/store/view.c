/*
 * Views: connections that read. A few are kept, made when they are first needed, so that a view
 * costs two statements. More than keep the processors busy would be memory for nothing: each has its
 * statements and its pages, a megabyte and a half. A snapshot has one, in a transaction that stays
 * open: its views take turns.
 *
 * Whenever another connection commits, SQLite drops all pages that a connection keeps. What is asked
 * around a change is asked of the connection that makes it, as long as nobody else wants that one.
 */
#include "inside.h"

#include <unistd.h>

/* Connections at least and at most. */
#define POOL_MIN 3
#define POOL_MAX 8

void pool_start(struct store *store)
{
	long wanted = sysconf(_SC_NPROCESSORS_ONLN) + 1;
	store->pool.max = wanted < POOL_MIN ? POOL_MIN : wanted > POOL_MAX ? POOL_MAX : (int)wanted;
	pthread_mutex_init(&store->pool.mutex, NULL);
	pthread_cond_init(&store->pool.returned, NULL);
	pthread_mutex_init(&store->snapshot_mutex, NULL);
}

void pool_stop(struct store *store)
{
	struct tx *tx;
	while ((tx = store->pool.idle)) {
		store->pool.idle = tx->next;
		connection_free(tx);
	}
	pthread_mutex_destroy(&store->pool.mutex);
	pthread_cond_destroy(&store->pool.returned);
	pthread_mutex_destroy(&store->snapshot_mutex);
}

/* NULL: the caller may make one more. */
static struct tx *borrow(struct pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	while (!pool->idle && pool->made == pool->max)
		pthread_cond_wait(&pool->returned, &pool->mutex);
	struct tx *tx = pool->idle;
	if (tx)
		pool->idle = tx->next;
	else
		pool->made++;
	pthread_mutex_unlock(&pool->mutex);
	return tx;
}

/* Takes NULL for one that could not be made. */
static void give_back(struct pool *pool, struct tx *tx)
{
	pthread_mutex_lock(&pool->mutex);
	if (tx) {
		tx->next = pool->idle;
		pool->idle = tx;
	} else {
		pool->made--;
	}
	pthread_cond_signal(&pool->returned);
	pthread_mutex_unlock(&pool->mutex);
}

enum error view_begin(struct tx *tx)
{
	int64_t change;
	enum error result = sql_run(tx, SQL_BEGIN, NO_VALUES);
	if (!result)
		result = store_change_number(tx, &change);
	if (result)
		connection_rollback(tx);
	return result;
}

/* A connection, in no transaction; a snapshot's is always in its own. */
enum error store_look(struct store *store, struct tx **out)
{
	if (store->snapshot) {
		pthread_mutex_lock(&store->snapshot_mutex);
		*out = store->snapshot;
		return OK;
	}
	enum error result = OK;
	struct tx *tx = borrow(&store->pool);
	if (!tx)
		result = connection_new(store, store->frozen ? CONNECT_FROZEN : CONNECT_READ, &tx);
	if (result)
		give_back(&store->pool, NULL);
	else
		*out = tx;
	return result;
}

enum error store_view(struct store *store, struct tx **out)
{
	struct tx *tx;
	TRY(store_look(store, &tx));
	enum error result = store->snapshot ? OK : view_begin(tx);
	if (result)
		give_back(&store->pool, tx);
	else
		*out = tx;
	return result;
}

enum error store_look_beside(struct store *store, struct tx **out)
{
	struct tx *tx = store->snapshot ? NULL : writer_borrow(store);
	if (!tx)
		return store_look(store, out);
	*out = tx;
	return OK;
}

enum error store_view_beside(struct store *store, struct tx **out)
{
	struct tx *tx;
	TRY(store_look_beside(store, &tx));
	enum error result = store->snapshot ? OK : sql_run(tx, SQL_BEGIN, NO_VALUES);
	if (result)
		store_view_scoped(&tx);
	else
		*out = tx;
	return result;
}

void store_view_end(struct tx *tx)
{
	struct store *store = tx->store;
	if (store->snapshot) {
		pthread_mutex_unlock(&store->snapshot_mutex);
		return;
	}
	if (!sqlite3_get_autocommit(tx->db) && sql_run(tx, SQL_COMMIT, NO_VALUES))
		connection_rollback(tx);
	if (tx == store->writer.tx)
		writer_release(store);
	else
		give_back(&store->pool, tx);
}

void store_view_scoped(struct tx **tx)
{
	if (*tx)
		store_view_end(*tx);
}

enum error store_change_number(struct tx *tx, int64_t *out)
{
	SCOPED(sql_end) struct rows rows = sql_query(tx, SQL_CHANGE, NO_VALUES);
	if (sql_next(&rows))
		*out = sql_int(&rows, 0);
	return rows.error;
}

/*
 * The floor: what sealing alone costs on this machine, now. A bare loop on all processors, with the
 * program's own seals, to a store's recipients, of a token as large as real ones; or it opens one
 * first and seals that anew, as rekey does. There is no store, and nothing is kept.
 *
 *	floor seal|reseal SECONDS KEY.pem CERTIFICATE.pem...
 *
 * KEY.pem has its own certificate in it, as `init` makes it. Prints how many there were in a second.
 */
#include "crew.h"
#include "mdm.h"
#include "seal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1000
#define TOKEN 192 /* bytes */
#define HEAP (1024 * 1024)
#define UDID "00000000-0000-4000-8000-000000000000"

struct loop {
	struct recipients *recipients;
	struct seal_key *key; /* NULL: nothing is opened */
	struct secret content;
	struct bytes blob;
	atomic_int failed;
};

static enum error once(struct loop *loop)
{
	SCOPED(bytes_free) struct bytes blob = {0};
	SCOPED(secret_free) struct secret opened = {0};
	const struct secret *content = &loop->content;
	if (loop->key) {
		TRY(seal_open(loop->key, loop->blob.data, loop->blob.len, &opened));
		content = &opened;
	}
	return seal_close(loop->recipients, content->data, content->len, &blob);
}

static void work(void *context, int i)
{
	struct loop *loop = context;
	(void)i;
	if (once(loop) && !atomic_exchange(&loop->failed, 1))
		fprintf(stderr, "floor: %s\n", fail_why());
}

static enum error add_certificate(struct loop *loop, const char *path)
{
	SCOPED(bytes_free) struct bytes der = {0};
	TRY(seal_certificate_read(path, &der));
	return recipients_add(loop->recipients, der.data, der.len);
}

static enum error make_content(struct secret *content)
{
	SCOPED(secret_free) struct secret token = {0};
	TRY(secret_new(TOKEN, &token));
	token.len = TOKEN;
	TRY(seal_random(token.data, token.len));
	return mdm_write_content(UDID, &token, content);
}

static enum error prepare(struct loop *loop, bool opens, char **files, int count)
{
	TRY(secret_prepare(HEAP));
	TRY(recipients_new(&loop->recipients));
	for (int i = 0; i < count; i++)
		TRY(add_certificate(loop, files[i]));
	TRY(make_content(&loop->content));
	if (!opens)
		return OK;
	TRY(seal_key_load(files[0], NULL, NULL, &loop->key));
	(void)seal_key_recipient(loop->key, loop->recipients);
	return seal_close(loop->recipients, loop->content.data, loop->content.len, &loop->blob);
}

/* The first batch warms up, and isn't counted. */
static double rate(struct loop *loop, double seconds)
{
	double took = 0;
	int64_t done = 0;
	crew_run(BATCH, work, loop);
	for (int64_t began_at = time_now(); took < seconds && !atomic_load(&loop->failed);) {
		crew_run(BATCH, work, loop);
		done += BATCH;
		took = (double)(time_now() - began_at) / 1e9;
	}
	return (double)done / took;
}

int main(int argc, char **argv)
{
	struct loop loop = {0};
	if (argc < 4 || (strcmp(argv[1], "seal") != 0 && strcmp(argv[1], "reseal") != 0)) {
		fprintf(stderr, "usage: floor seal|reseal SECONDS KEY.pem CERTIFICATE.pem...\n");
		return 2;
	}
	bool opens = strcmp(argv[1], "reseal") == 0;
	if (prepare(&loop, opens, argv + 3, argc - 3)) {
		fprintf(stderr, "floor: %s\n", fail_why());
		return 1;
	}
	printf("%.1f\n", rate(&loop, strtod(argv[2], NULL)));
	secret_free(&loop.content);
	bytes_free(&loop.blob);
	seal_key_free(loop.key);
	recipients_free(loop.recipients);
	return atomic_load(&loop.failed) ? 1 : 0;
}

/* Blobs and PEM texts: nothing opens that wasn't sealed. The key is made anew for each run. */
#include "seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seal_key *key;
static struct bytes sealed;

static void prepare(void)
{
	char dir[] = "/tmp/fuzz-seal-XXXXXX", path[64];
	struct bytes certificate = {0};
	struct recipients *recipients = NULL;
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof path, "%s/key.pem", dir);
	if (seal_key_make(SEAL_KEY_DAILY, "fuzz", path, NULL, &certificate) ||
	    seal_key_load(path, NULL, NULL, &key) || recipients_new(&recipients) ||
	    recipients_add(recipients, certificate.data, certificate.len) ||
	    seal_close(recipients, "content", 7, &sealed))
		abort();
	unlink(path);
	rmdir(dir);
	bytes_free(&certificate);
	recipients_free(recipients);
}

/* The input is laid over a real blob from the offset that its first two bytes name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!key)
		prepare();
	struct bytes blob = {0}, pem = {0};
	struct secret content = {0};
	(void)seal_dearmor(data, size, &pem);
	bytes_free(&pem);
	if (seal_open(key, data, size, &content) == OK)
		abort();
	secret_free(&content);
	if (size < 3 || bytes_add(&blob, sealed.data, sealed.len))
		return 0;
	size_t at = (size_t)(data[0] | data[1] << 8) % blob.len;
	for (size_t i = 2; i < size && at + i - 2 < blob.len; i++)
		blob.data[at + i - 2] ^= data[i];
	/* BER has more than one way to say a thing, but the content is the one that was sealed. */
	if (seal_open(key, blob.data, blob.len, &content) == OK &&
	    (content.len != 7 || memcmp(content.data, "content", 7) != 0))
		abort();
	secret_free(&content);
	bytes_free(&blob);
	return 0;
}

/*
 * Private keys, from wherever OSSL_STORE finds them.
 *
 * A file is read by ourselves, so that what was checked (who else may read it, where it lies) is
 * what is used, and handed to OSSL_STORE's decoders from secure memory. Every other URI is the
 * business of the provider behind it (a TPM, a PKCS #11 module), as openssl.cnf(5) sets it up.
 *
 * MUST: no private key file that others can read is used. (test: key_world_readable_refused)
 * MUST: passphrases come from a file or a credential, and are wiped. (test: passphrase_from_file)
 * MUST: a key in the store's directory is refused. (test: key_inside_directory_refused)
 */
#include "keyfile.h"
#include "seal/inside.h"
#include "seal/unwrap.h"

#include <openssl/provider.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Objects that are looked at before a source without a key is given up. */
#define OBJECTS_MAX 64

/* ---- which URIs are files ---- */

/* The length of a URI's scheme (RFC 3986, section 3.1), or 0. */
static size_t scheme_length(const char *uri)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	if (!*uri || !strchr(letters, *uri))
		return 0;
	size_t n = strspn(uri, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.");
	return uri[n] == ':' ? n : 0;
}

/* The file that a URI names (RFC 8089, without escapes, as ossl_store-file(7)); NULL: no file. */
static const char *file_of(const char *uri)
{
	struct stat about;
	if (!scheme_length(uri) || lstat(uri, &about) == 0)
		return uri; /* OSSL_STORE, too, looks for a file of that very name first */
	if (strncasecmp(uri, "file:", 5) != 0)
		return NULL;
	uri += 5;
	if (strncmp(uri, "//localhost/", 12) == 0)
		return uri + 11;
	return strncmp(uri, "///", 3) == 0 ? uri + 2 : uri;
}

/* ---- the passphrase ---- */

struct asked {
	struct secret passphrase;
	bool was; /* OSSL_STORE wanted one */
};

static void asked_free(struct asked *asked)
{
	secret_free(&asked->passphrase);
}

/* OSSL_STORE's question, answered from the file and never at a terminal. */
static int answer(char *buffer, int size, int writing, void *context)
{
	(void)writing;
	struct asked *asked = context;
	asked->was = true;
	if (!asked->passphrase.len || size < 0 || (size_t)size < asked->passphrase.len)
		return -1;
	memcpy(buffer, asked->passphrase.data, asked->passphrase.len);
	return (int)asked->passphrase.len;
}

/* ---- loading ---- */

/* See struct seal_key. Freeing a key, while one is loaded, asks its provider, too. */
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

struct found {
	EVP_PKEY *key;
	STACK_OF(X509) * certificates;
};

static void found_free(struct found *found)
{
	EVP_PKEY_free(found->key);
	sk_X509_pop_free(found->certificates, X509_free);
}

bool key_fits(const EVP_PKEY *key, const X509 *certificate)
{
	const EVP_PKEY *public = X509_get0_pubkey(certificate);
	bool fits = public && EVP_PKEY_eq(public, key) == 1;
	openssl_forget();
	return fits;
}

/* The first private key of a source, and all its certificates. */
static bool look_through(OSSL_STORE_CTX *store, struct found *found)
{
	for (int i = 0; i < OBJECTS_MAX && !OSSL_STORE_eof(store); i++) {
		SCOPED(scoped_store_info) OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (!info)
			continue; /* an object that isn't understood, or the end */
		switch (OSSL_STORE_INFO_get_type(info)) {
		case OSSL_STORE_INFO_PKEY:
			if (!found->key)
				found->key = OSSL_STORE_INFO_get1_PKEY(info);
			break;
		case OSSL_STORE_INFO_CERT: {
			X509 *certificate = OSSL_STORE_INFO_get1_CERT(info);
			if (certificate && !sk_X509_push(found->certificates, certificate))
				X509_free(certificate);
			break;
		}
		default:
			break;
		}
	}
	return found->key;
}

static enum error nothing_found(const char *uri, const struct asked *asked,
				const char *passphrase_file)
{
	const char *reason = openssl_reason();
	if (asked->was && !asked->passphrase.len)
		return fail(
			ERR_NO_KEY,
			"%s: the key is encrypted: name a file with its passphrase "
			"(--passphrase-file FILE; -o passphrase-file=FILE for a mount), or give "
			"the systemd credential escrowfs.passphrase",
			uri);
	if (asked->was)
		return fail(ERR_NO_KEY, "%s: the passphrase in %s doesn't open it (%s)", uri,
			    passphrase_file ? passphrase_file
					    : "the systemd credential escrowfs.passphrase",
			    reason);
	return fail(ERR_NO_KEY,
		    "%s: no private key that OpenSSL understands is there (%s); for a key in "
		    "hardware its provider must be active in openssl.cnf",
		    uri, reason);
}

/* Opens a source: a file's content, or what the provider of the URI's scheme has. */
static OSSL_STORE_CTX *open_source(const char *uri, BIO *content, UI_METHOD *ui,
				   struct asked *asked)
{
	if (content)
		return OSSL_STORE_attach(content, "file", NULL, NULL, ui, asked, NULL, NULL, NULL);
	return OSSL_STORE_open(uri, ui, asked, NULL, NULL);
}

/* `asked` has the passphrase. */
static enum error find(const char *uri, const struct secret *content, const char *passphrase_file,
		       struct asked *asked, struct found *found)
{
	SCOPED(scoped_ui_method) UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(answer, 0);
	SCOPED(scoped_bio) BIO *bio = NULL;
	if (content->data)
		bio = BIO_new_mem_buf(content->data, (int)content->len);
	found->certificates = sk_X509_new_null();
	if (!ui || !found->certificates || (content->data && !bio))
		return fail(ERR_MEMORY, "out of memory");
	SCOPED(scoped_store) OSSL_STORE_CTX *store = open_source(uri, bio, ui, asked);
	if (!store || !look_through(store, found))
		return nothing_found(uri, asked, passphrase_file);
	return OK;
}

/* How the key's provider is to be asked. */
static void set_provider(struct seal_key *key)
{
	const char *name = OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key->key));
	snprintf(key->properties, sizeof key->properties, "?provider=%s", name);
	if (strcmp(name, "default") != 0 && strcmp(name, "fips") != 0)
		key->turn = &turn;
}

static enum error check_uri(const char *uri)
{
	/* The store remembers a URI, and messages show it. */
	if (strstr(uri, "pin-value="))
		return fail(ERR_INVALID,
			    "the key's URI holds a PIN, which everybody could read in the "
			    "list of processes and in the store: name a file with "
			    "pin-source= or a passphrase file");
	return OK;
}

/* `content`: of the key's file; empty where it isn't one. */
static enum error load_in_turn(const char *uri, const struct secret *content,
			       const char *passphrase_file, struct asked *asked,
			       struct seal_key **out)
{
	SCOPED(found_free) struct found found = {0};
	enum error result = find(uri, content, passphrase_file, asked, &found);
	secret_wipe_stack();
	TRY(result);

	SCOPED(seal_key_scoped) struct seal_key *key = calloc(1, sizeof *key);
	if (!key)
		return fail(ERR_MEMORY, "out of memory");
	atomic_init(&key->holders, 1);
	for (int i = 0; i < sk_X509_num(found.certificates) && !key->certificate; i++) {
		X509 *certificate = sk_X509_value(found.certificates, i);
		if (key_fits(found.key, certificate) && X509_up_ref(certificate))
			key->certificate = certificate;
	}
	key->key = found.key;
	found.key = NULL;
	set_provider(key);
	if (unwrap_prepare(key) != OK || unwrap_check(key) != OK)
		return fail(ERR_NO_KEY, "%s: %s", uri, fail_why());
	openssl_forget();
	*out = key;
	key = NULL;
	return OK;
}

/* Whoever loads it may talk to the provider that another key is at work with. */
static enum error load(const char *uri, const struct secret *content, const char *passphrase_file,
		       struct asked *asked, struct seal_key **out)
{
	pthread_mutex_lock(&turn);
	enum error result = load_in_turn(uri, content, passphrase_file, asked, out);
	pthread_mutex_unlock(&turn);
	return result;
}

enum error seal_key_load(const char *uri, const char *passphrase_file, const char *outside_of,
			 struct seal_key **out)
{
	openssl_forget();
	*out = NULL;
	TRY(check_uri(uri));
	SCOPED(secret_free) struct secret content = {0};
	SCOPED(asked_free) struct asked asked = {0};
	const char *path = file_of(uri);
	if (path)
		TRY(keyfile_read(path, outside_of, &content));
	TRY(keyfile_passphrase(passphrase_file, &asked.passphrase));
	return load(uri, &content, passphrase_file, &asked, out);
}

void seal_key_files(const char *uri, const char *passphrase_file, char key[static PATH_MAX],
		    char passphrase[static PATH_MAX])
{
	const char *path = file_of(uri);
	snprintf(key, PATH_MAX, "%s", path ? path : "");
	if (passphrase_file)
		snprintf(passphrase, PATH_MAX, "%s", passphrase_file);
	else if (!keyfile_credential(passphrase))
		*passphrase = 0;
}

enum error seal_key_load_opened(const char *uri, const char *passphrase_file,
				const struct opened *file, const struct opened *passphrase,
				const char *outside_of, struct seal_key **out)
{
	openssl_forget();
	*out = NULL;
	TRY(check_uri(uri));
	SCOPED(secret_free) struct secret content = {0};
	SCOPED(asked_free) struct asked asked = {0};
	if (*file->path)
		TRY(keyfile_read_opened(file, outside_of, &content));
	TRY(keyfile_passphrase_opened(passphrase, passphrase_file != NULL, &asked.passphrase));
	return load(uri, &content, passphrase_file, &asked, out);
}

struct seal_key *seal_key_hold(struct seal_key *key)
{
	if (key)
		atomic_fetch_add(&key->holders, 1);
	return key;
}

void seal_key_free(struct seal_key *key)
{
	if (!key || atomic_fetch_sub(&key->holders, 1) > 1)
		return;
	if (key->turn)
		pthread_mutex_lock(key->turn);
	EVP_PKEY_free(key->key);
	if (key->turn)
		pthread_mutex_unlock(key->turn);
	EVP_PKEY_free(key->curve);
	X509_free(key->certificate);
	free(key);
}

void seal_key_scoped(struct seal_key **key)
{
	seal_key_free(*key);
	*key = NULL;
}

static int find_recipient(const struct seal_key *key, const struct recipients *recipients)
{
	for (int i = 0; i < recipients_count(recipients); i++)
		if (key_fits(key->key, sk_X509_value(recipients->certificates, i)))
			return i;
	return -1;
}

bool seal_key_fits(const struct seal_key *key, const struct recipients *recipients)
{
	return find_recipient(key, recipients) >= 0;
}

bool seal_key_same(const struct seal_key *a, const struct seal_key *b)
{
	bool same = EVP_PKEY_eq(a->key, b->key) == 1;
	openssl_forget();
	return same;
}

bool seal_key_is_foreign(const struct seal_key *key)
{
	return key->turn != NULL;
}

int seal_key_recipient(struct seal_key *key, const struct recipients *recipients)
{
	int i = find_recipient(key, recipients);
	X509 *certificate = i < 0 ? NULL : sk_X509_value(recipients->certificates, i);
	if (certificate && !key->certificate && X509_up_ref(certificate))
		key->certificate = certificate;
	return i;
}

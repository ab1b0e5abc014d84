/*
 * New keys. The file has the private key and then its certificate, PEM, so that one file is all
 * that is needed to open seals, here or with `openssl cms -decrypt -inkey FILE -recip FILE`.
 *
 * MUST: a key's file is its owner's alone. (test: make_daily, make_recovery)
 * MUST: nothing is overwritten, and nothing half is left. (test: make_never_overwrites,
 *       make_leaves_nothing)
 */
#include "keyfile.h"
#include "seal/certificate.h"
#include "seal/inside.h"

#include <openssl/ec.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PBKDF2 with SHA-256: about a quarter of a second, once a mount. */
#define ITERATIONS 600000
#define SALT 16
#define RSA_BITS 3072

/* A file in the making, gone again unless it was kept. */
struct new_file {
	const char *path;
	int fd;
};

static void new_file_drop(struct new_file *file)
{
	if (file->fd < 0)
		return;
	close(file->fd);
	unlink(file->path);
}

static enum error new_file_create(struct new_file *file)
{
	file->fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return fail(errno == EEXIST   ? ERR_EXISTS
			    : errno == EACCES ? ERR_ACCESS
			    : errno == ENOENT ? ERR_NOT_FOUND
			    : errno == EROFS  ? ERR_READ_ONLY
			    : errno == ENOSPC ? ERR_NO_SPACE
					      : ERR_IO,
			    errno == EEXIST ? "%s: it exists, and no key is ever overwritten (%s)"
					    : "%s: a key can't be written there (%s)",
			    file->path, strerror(errno));
	/* A default ACL of the directory may have added to it. */
	if (fchmod(file->fd, 0600) != 0)
		return fail(ERR_IO, "%s: %s", file->path, strerror(errno));
	return OK;
}

/* Whose entry in its directory must reach the disk too. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = !slash ? snprintf(directory, sizeof directory, ".")
		: slash == path
			? snprintf(directory, sizeof directory, "/")
			: snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
	if (n < 0 || (size_t)n >= sizeof directory) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int result = fsync(fd), why = errno;
	close(fd);
	errno = why;
	return result;
}

static enum error new_file_keep(struct new_file *file, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(file->fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EFBIG)
			return fail(ERR_NO_SPACE,
				    "%s: the limit on the size of files (ulimit -f) is too small",
				    file->path);
		if (n < 0)
			return fail(errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE : ERR_IO,
				    "%s: %s", file->path, strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	if (fsync(file->fd) != 0 || sync_directory(file->path) != 0)
		return fail(ERR_IO, "%s: can't be brought to the disk (%s)", file->path,
			    strerror(errno));
	close(file->fd);
	file->fd = -1;
	return OK;
}

/* PKCS #8, encrypted when there is a passphrase. */
static bool write_key(BIO *out, const EVP_PKEY *key, const struct secret *passphrase)
{
	SCOPED(scoped_pkcs8) PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
	if (!plain)
		return false;
	if (!passphrase->len)
		return PEM_write_bio_PKCS8_PRIV_KEY_INFO(out, plain);
	SCOPED(scoped_encrypted_pkcs8)
	X509_SIG *encrypted = PKCS8_encrypt(-1, EVP_aes_256_cbc(), (const char *)passphrase->data,
					    (int)passphrase->len, NULL, SALT, ITERATIONS, plain);
	return encrypted && PEM_write_bio_PKCS8(out, encrypted);
}

static enum error make(enum seal_key_kind kind, const char *name, struct new_file *file,
		       const struct secret *passphrase, struct bytes *certificate)
{
	SCOPED(scoped_pkey)
	EVP_PKEY *key =
		kind == SEAL_KEY_DAILY
			? EVP_PKEY_Q_keygen(NULL, PUBLIC_PROPERTIES, "EC", "P-256")
			: EVP_PKEY_Q_keygen(NULL, PUBLIC_PROPERTIES, "RSA", (size_t)RSA_BITS);
	if (!key)
		return fail(ERR_MEMORY, "no key can be made (%s)", openssl_reason());
	SCOPED(scoped_certificate) X509 *made = NULL;
	TRY(certificate_make(key, PUBLIC_PROPERTIES, name, &made));
	TRY(openssl_certificate_der(made, certificate));

	SCOPED(scoped_bio) BIO *text = BIO_new(BIO_s_secmem());
	char *data = NULL;
	if (!text || !write_key(text, key, passphrase) || !PEM_write_bio_X509(text, made))
		return fail(ERR_MEMORY, "%s: the key can't be encoded (%s)", file->path,
			    openssl_reason());
	long len = BIO_get_mem_data(text, &data);
	return new_file_keep(file, data, (size_t)len);
}

enum error seal_key_make(enum seal_key_kind kind, const char *name, const char *path,
			 const char *passphrase_file, struct bytes *certificate)
{
	openssl_forget();
	*certificate = (struct bytes){0};
	SCOPED(secret_free) struct secret passphrase = {0};
	if (passphrase_file)
		TRY(keyfile_passphrase(passphrase_file, &passphrase));
	SCOPED(new_file_drop) struct new_file file = {.path = path, .fd = -1};
	TRY(new_file_create(&file));
	enum error result = make(kind, name, &file, &passphrase, certificate);
	secret_wipe_stack();
	return result;
}

#ifndef ESCROWFS_SEAL_H
#define ESCROWFS_SEAL_H

#include "bytes.h"
#include "error.h"
#include "path.h"
#include "secret.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sealing: CMS AuthEnvelopedData (RFC 5083, RFC 5084), AES-256-GCM, to every recipient certificate;
 * keys and certificates; digests. What is sealed is opaque here.
 *
 * MUST: no byte of plaintext leaves before its tag is verified. (test: open_refuses_flipped_bit)
 * MUST: plaintext goes to secure memory only, library copies aside. (test: open_gives_secret)
 * MUST: no private key file that others can read is used. (test: key_world_readable_refused)
 * MUST: passphrases come from a file or a credential, and are wiped. (test: passphrase_from_file)
 * MUST: random numbers come from the library's generator. (test: seal_twice_differs)
 */

/*
 * Looks up the algorithms that openings, digests and MACs begin with. Each does so by itself; but what OpenSSL
 * 3.0 couldn't make at the first look, for want of memory, it may not find later either. So: early. ERR_MEMORY.
 */
enum error seal_prepare(void);

#define SEAL_DIGEST 32

/* SHA-256. ERR_MEMORY. */
enum error seal_digest(const void *, size_t, uint8_t out[static SEAL_DIGEST]);
/* The same of two pieces, one after the other. */
enum error seal_digest2(const void *, size_t, const void *, size_t,
			uint8_t out[static SEAL_DIGEST]);
/* HMAC-SHA-256 under a key of 32 bytes. ERR_MEMORY. */
enum error seal_mac(const uint8_t key[static 32], const void *, size_t,
		    uint8_t out[static SEAL_DIGEST]);
/* The same under a key of any length. */
enum error seal_hmac(const struct secret *key, const void *, size_t,
		     uint8_t out[static SEAL_DIGEST]);
enum error seal_random(void *, size_t);
/* Constant time. */
bool seal_equal(const void *, const void *, size_t);

/* ---- recipients ---- */

/* The certificates to which tokens are sealed; used by many threads at once. */
struct recipients;

enum error recipients_new(struct recipients **);
void recipients_free(struct recipients *);
void recipients_scoped(struct recipients **);

/* Adds a certificate (DER). ERR_INVALID: not one, or its key is neither EC nor RSA. */
enum error recipients_add(struct recipients *, const uint8_t *der, size_t len);
int recipients_count(const struct recipients *);

/*
 * All certificates of a PEM file, one or more; what else is in it is passed over. For what the store
 * is held against: ERR_INVALID when it lies inside directory `outside_of`, others may write to it, or
 * it isn't a regular file (path.h); ERR_NOT_FOUND, ERR_ACCESS.
 */
enum error recipients_read(const char *path, const char *outside_of, struct recipients **out);
/* The same of a file that was opened elsewhere; it may be read many times, by many threads at once. */
enum error recipients_read_opened(const struct opened *, const char *outside_of,
				  struct recipients **out);
/* The first of `these` that isn't among `those`, or -1. */
int recipients_beyond(const struct recipients *these, const struct recipients *those);

/* What there is to say of the i-th: hex SHA-256 of its DER, and when it expires (ns). */
enum error recipients_about(const struct recipients *, int i, char fingerprint[static 65],
			    int64_t *expires_at);

/* ---- keys ---- */

/* A private key with which seals are opened; used by many threads at once. */
struct seal_key;

/*
 * Loads a private key from an OSSL_STORE URI (ossl_store(7)); a plain path is one too. The key's
 * own certificate is not needed. For a file: ERR_INVALID when others than owner and group may read
 * it, others could have made a link that leads to it (path.h), or when it lies inside directory
 * `outside_of` (NULL: anywhere). ERR_NOT_FOUND, ERR_ACCESS;
 * ERR_NO_KEY: nothing there that opens, the passphrase is missing or wrong. `passphrase_file`:
 * NULL, or a file whose first line is the passphrase; with NULL the systemd credential
 * escrowfs.passphrase is used when there is one ($CREDENTIALS_DIRECTORY, systemd.exec(5)).
 */
enum error seal_key_load(const char *uri, const char *passphrase_file, const char *outside_of,
			 struct seal_key **);
/* Frees it, once nobody holds it any more. */
void seal_key_free(struct seal_key *);
void seal_key_scoped(struct seal_key **);
/* The same key, for one more holder, who frees it, too. NULL: of NULL. */
struct seal_key *seal_key_hold(struct seal_key *);

/*
 * For a process that can't open files any more. Which seal_key_load() would read: that of the key, ""
 * where the URI is none, and that of the passphrase, "" where there is none.
 */
void seal_key_files(const char *uri, const char *passphrase_file, char key[static PATH_MAX],
		    char passphrase[static PATH_MAX]);
/* As seal_key_load(), from those, which somebody else has opened. */
enum error seal_key_load_opened(const char *uri, const char *passphrase_file,
				const struct opened *key, const struct opened *passphrase,
				const char *outside_of, struct seal_key **);

/*
 * Is it the private key of one of these? The number of the first, or -1. A key that came without
 * its certificate remembers that one, so that seal_open() can tell a damaged seal from another's:
 * call it before threads use the key.
 */
int seal_key_recipient(struct seal_key *, const struct recipients *);
/* The question alone: remembers nothing, and may be asked at any time. */
bool seal_key_fits(const struct seal_key *, const struct recipients *);
/* Are they one and the same? */
bool seal_key_same(const struct seal_key *, const struct seal_key *);
/*
 * Does a provider use it that isn't OpenSSL's own? That one may open files, devices and sockets at any
 * time.
 */
bool seal_key_is_foreign(const struct seal_key *);

/* Does the path (its directory too, when the file isn't there yet) lie inside directory `dir`?
 * Symbolic links are followed. */
bool seal_path_inside(const char *path, const char *dir);

enum seal_key_kind { SEAL_KEY_DAILY /* P-256 */, SEAL_KEY_RECOVERY /* RSA-3072 */ };

/*
 * Makes a key and its self-signed certificate (`name`; ten years) and writes both, PEM, to a new
 * file, mode 0600, synced. ERR_EXISTS: never overwrites. With a passphrase file the key is
 * encrypted (PKCS #8, AES-256). The certificate's DER goes to `certificate`, which the caller
 * frees.
 */
enum error seal_key_make(enum seal_key_kind, const char *name, const char *path,
			 const char *passphrase_file, struct bytes *certificate);

/*
 * The certificate that lies beside a loaded key at its URI, else a new one, self-signed (hardware
 * may hold a key that can't sign: then signed with a key that isn't kept). DER.
 */
enum error seal_key_certificate(const struct seal_key *, const char *name,
				struct bytes *certificate);

/* The first certificate of a PEM or DER file. DER. ERR_INVALID, ERR_NOT_FOUND, ERR_ACCESS. */
enum error seal_certificate_read(const char *path, struct bytes *certificate);

/* SHA-256 of the DER of the certificate in a PEM text. ERR_INVALID: there is none in it. */
enum error seal_certificate_digest(const void *pem, size_t len, uint8_t out[static SEAL_DIGEST]);

/*
 * The first line of a file that only its owner and group may read, without its newline: a secret that
 * two programs share. ERR_NOT_FOUND, ERR_ACCESS; ERR_INVALID: it is empty, longer than 1023 bytes, others
 * have permissions on it, or it is no regular file. The caller frees `out`, also after an error.
 */
enum error seal_line_read(const char *path, struct secret *out);

/* ---- the seal ---- */

/* Seals `content` to every recipient. The blob is DER; the caller frees it, also after an error.
 * ERR_MEMORY, ERR_INVALID. */
enum error seal_close(const struct recipients *, const void *content, size_t len,
		      struct bytes *blob);

/*
 * Opens a blob. ERR_NO_KEY: it isn't sealed to this key. ERR_BAD_SEAL: it is damaged, or no
 * AuthEnvelopedData with AES-256-GCM. `content` is set only after the tag was verified; the caller
 * frees it.
 */
enum error seal_open(const struct seal_key *, const void *blob, size_t len, struct secret *content);

/* What can be told of a blob that isn't opened. */
struct seal_outline {
	size_t content_len; /* bytes of what is sealed */
	bool ours;	    /* it is made to one of the recipients */
};
/* ERR_BAD_SEAL as seal_open() has it, as far as it shows from outside. */
enum error seal_outline(const struct recipients *, const void *blob, size_t len,
			struct seal_outline *out);

/* "-----BEGIN CMS-----" and so on: 64 columns, with the last newline. The caller frees. */
enum error seal_armor(const void *blob, size_t len, struct bytes *pem);
/* How long seal_armor()'s text of a blob of `len` bytes is. */
size_t seal_armor_size(size_t len);
/* The blob in a PEM text. ERR_INVALID. The caller frees. */
enum error seal_dearmor(const void *pem, size_t len, struct bytes *blob);

#endif

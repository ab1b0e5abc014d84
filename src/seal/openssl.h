#ifndef ESCROWFS_SEAL_OPENSSL_H
#define ESCROWFS_SEAL_OPENSSL_H

#include "bytes.h"
#include "error.h"

#include <openssl/bio.h>
#include <openssl/pem.h> /* before cms.h, which declares its PEM functions only then */
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509.h>

#include <stdint.h>

/* What the files of this layer share of OpenSSL: its reasons, and its objects by scope. */

/* The reason of this thread's last OpenSSL error, for a sentence; empties the error queue. */
const char *openssl_reason(void);

/*
 * Called where a public function starts: what an earlier caller left in this thread's error queue
 * is nobody's reason.
 */
void openssl_forget(void);

/*
 * What a function ends with whose caller has to know why it failed, or that it didn't. Where OpenSSL had
 * too little memory it names whatever that led to, and may even return a success: ERR_MEMORY, whatever
 * the result is. Else the result.
 */
enum error openssl_verdict(enum error result);

/* DER of a certificate. The caller frees, also after an error. ERR_MEMORY. */
enum error openssl_certificate_der(const X509 *, struct bytes *der);

/* For SCOPED. */
void scoped_bio(BIO **);
void scoped_bio_chain(BIO **);
void scoped_certificate(X509 **);
void scoped_cipher_ctx(EVP_CIPHER_CTX **);
void scoped_cms(CMS_ContentInfo **);
void scoped_mac_ctx(EVP_MAC_CTX **);
void scoped_md_ctx(EVP_MD_CTX **);
void scoped_pkcs8(PKCS8_PRIV_KEY_INFO **);
void scoped_encrypted_pkcs8(X509_SIG **);
void scoped_pkey(EVP_PKEY **);
void scoped_pkey_ctx(EVP_PKEY_CTX **);
void scoped_store(OSSL_STORE_CTX **);
void scoped_store_info(OSSL_STORE_INFO **);
void scoped_ui_method(UI_METHOD **);

#endif

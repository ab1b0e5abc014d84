#ifndef ESCROWFS_SEAL_CERTIFICATE_H
#define ESCROWFS_SEAL_CERTIFICATE_H

#include "error.h"

#include <openssl/x509.h>

/*
 * Makes a certificate for an EC or RSA key, signed by itself: CN=`name`, ten years from now, random
 * serial number. ERR_INVALID: the key can't sign. The caller frees.
 */
enum error certificate_make(EVP_PKEY *key, const char *name, X509 **out);

#endif

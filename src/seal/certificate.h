#ifndef ESCROWFS_SEAL_CERTIFICATE_H
#define ESCROWFS_SEAL_CERTIFICATE_H

#include "error.h"

#include <openssl/x509.h>

/*
 * Makes a certificate for an EC or RSA key, signed by itself if it can sign: CN=`name`, ten years from now, random
 * serial number. `properties` is the query for the key's provider. ERR_INVALID. The caller frees.
 */
enum error certificate_make(EVP_PKEY *key, const char *properties, const char *name, X509 **out);

#endif

/* ACLs as setxattr(2) brings them: what is accepted has mode bits, and chmod sets just these. */
#include "escrow/acl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t acl[4096];
	if (size > sizeof acl || acl_check(data, size))
		return 0;
	memcpy(acl, data, size);
	uint32_t mode = acl_mode(acl, size);
	acl_chmod(acl, size, mode);
	if (mode > 0777 || acl_check(acl, size) || acl_mode(acl, size) != mode)
		abort();
	acl_chmod(acl, size, 0640);
	if (acl_mode(acl, size) != 0640)
		abort();
	return 0;
}

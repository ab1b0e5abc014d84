/* schema.sql as a string. The Makefile knows that this file depends on that one. */
#include "schema.h"

/* Relative to the top of the source, where make runs. */
__asm__(".pushsection .rodata\n"
	".global schema_sql\n"
	".type schema_sql, %object\n"
	"schema_sql:\n"
	".incbin \"src/store/schema.sql\"\n"
	".byte 0\n"
	".size schema_sql, . - schema_sql\n"
	".popsection\n");

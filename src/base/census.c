/* The words of a census: what layers above and beside the one that counts need of it. */
#include "census.h"

int age_days(enum token_age age)
{
	static const int days[AGE_COUNT] = {
		[AGE_DAY] = 1,	    [AGE_WEEK] = 7,   [AGE_MONTH] = 30,
		[AGE_QUARTER] = 90, [AGE_YEAR] = 365,
	};
	return days[age];
}

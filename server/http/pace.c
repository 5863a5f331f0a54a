/* pace.c - see pace.h. */
#include "http/pace.h"

struct pace_rest pace_next(struct pace *pace, int64_t quiet_us, unsigned beginners)
{
	int64_t pace_us = PACE_CORE_US / pace->processors;

	if (quiet_us <= PACE_AT_WORK_US || beginners > PACE_BEGINNERS_CORE * pace->processors)
		return (struct pace_rest){ .sleep_us = pace_us * 3 / 4, .lull_us = pace_us / 4 };
	if (++pace->turns < PACE_FREE_TURNS)
		return (struct pace_rest){ 0 };
	pace->turns = 0;
	return (struct pace_rest){ .lull_us = (int64_t)PACE_FREE_TURNS * PACE_FREE_CORE_US / pace->processors };
}

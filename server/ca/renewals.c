/*
 * renewals.c - how many certificates a device has got by renewal in this hour.
 *
 * Each of them may be renewed in its turn, so that one stolen key could use up its issuer's hourly count, and with it
 * the production line's. Devices are told apart by 16 bits of their hash, which nobody can choose: who shares a place
 * with another shares its bound, for an hour. A restart forgets, and nodes count for themselves: the issuer's count
 * does not.
 */
#include <string.h>

#include "ca/ca.h"

static uint16_t *place_of(struct renewals *renewals, const struct device_id *device, int64_t now_s)
{
	uint8_t hash[32];

	if (renewals->hour != now_s / 3600)
		memset(renewals, 0, sizeof(*renewals));
	renewals->hour = now_s / 3600;
	device_hash(device, hash);
	return &renewals->n[hash[0] << 8 | hash[1]];
}

bool renewals_may(struct renewals *renewals, const struct device_id *device, unsigned most, int64_t now_s)
{
	return most == 0 || *place_of(renewals, device, now_s) < most;
}

void renewals_count(struct renewals *renewals, const struct device_id *device, int64_t now_s)
{
	uint16_t *n = place_of(renewals, device, now_s);

	if (*n < UINT16_MAX)
		++*n;
}

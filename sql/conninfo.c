/* conninfo.c - what a connection string says of the way to PostgreSQL; see ledger.h. */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "ledger.h"

/* Hosts are separated by commas; a socket's folder begins with a slash, an abstract one with @, none is the default. */
static bool all_local(const char *hosts)
{
	while (true) {
		const char *end = strchr(hosts, ',');

		if (*hosts != '\0' && *hosts != ',' && *hosts != '/' && *hosts != '@')
			return false;
		if (end == NULL)
			return true;
		hosts = end + 1;
	}
}

bool ledger_over_network(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool network = options == NULL; /* not understood: connecting says why */

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
		const char *value = o->val == NULL ? "" : o->val;

		if (strcmp(o->keyword, "host") == 0)
			network |= !all_local(value);
		if (strcmp(o->keyword, "hostaddr") == 0 || strcmp(o->keyword, "service") == 0)
			network |= *value != '\0';
	}
	PQconninfoFree(options);
	return network;
}

char *ledger_passfile(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	char *path = NULL;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "passfile") == 0 && o->val != NULL)
			path = strdup(o->val);
	PQconninfoFree(options);
	return path;
}

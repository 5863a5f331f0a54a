/*
 * inside.c - assay-inside CONFIG ROLE CONNINFO: becomes that role's process as far as its fences go, then tries the
 * ledger as a breached role would. Prints one word a line: what came of the socket, and of the login.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "observe/log.h"
#include "role.h"

static bool role_named(const char *name, enum role *ret_role)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (strcmp(role_name((enum role)i), name) == 0) {
			*ret_role = (enum role)i;
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	struct config *config;
	struct fault fault = { 0 };
	enum role role;
	PGconn *conn;

	log_init("inside", LOG_WARN);
	if (argc != 4 || !role_named(argv[2], &role) || config_load(argv[1], &config, &fault) != REASON_OK ||
	    role_become(config, role, &fault) != REASON_OK) {
		fprintf(stderr, "assay-inside CONFIG ROLE CONNINFO; %s\n", fault.detail);
		return 2;
	}
	role_confine(config, role);
	if (seal_start(config, false, &fault) != REASON_OK || seal_role(config, role, false, &fault) != REASON_OK) {
		fprintf(stderr, "%s\n", fault.detail);
		return 2;
	}
	conn = PQconnectdb(argv[3]);
	puts(PQstatus(conn) == CONNECTION_OK ? "in" : PQerrorMessage(conn));
	PQfinish(conn);
	config_free(config);
	return 0;
}

/*
 * options.h - the command line: commands and options as tables, so that help and checks come from one place.
 *
 * Owns:    nothing: values point into argv and the environment.
 */
#ifndef RIG_OPTIONS_H
#define RIG_OPTIONS_H

#include "element.h"

enum command { COMMAND_ENROL, COMMAND_REENROL, COMMAND_ELEMENT, COMMAND_COUNT };

struct options {
	enum command command;
	const char *url, *cacert, *rig_cert, *rig_key, *vendor, *userpass; /* with defaults from the environment */
	const char *label, *out, *mes, *order, *name, *nonce;
	long devices, stations, patience_s, timeout_s;
	enum element_key key, attestation_key;
	bool unattested, resume, new_key, json, quiet, stop_on_first;
};

enum options_end { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_WRONG };

/* OPTIONS_HELP: the text has been printed. OPTIONS_WRONG: t says what is wrong, what is allowed and what was given. */
enum options_end options_parse(int argc, char **argv, struct options *ret_options, struct trouble *t);

#endif

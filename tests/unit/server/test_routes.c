/* test_routes.c - do EST paths, methods and media types mean what RFC 7030 section 3.2.2 says? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/route.h"

static struct route parsed(const char *path)
{
	struct route route;
	struct fault f = { 0 };

	if (route_parse(BLOB_STR(path), &route, &f) != REASON_OK)
		fail_msg("%s: %s", path, f.detail);
	return route;
}

static void finds_every_operation_in_all_three_forms(void **state)
{
	static const struct {
		const char *name;
		enum est_op op;
	} ops[] = { { "cacerts", EST_CACERTS },
		    { "csrattrs", EST_CSRATTRS },
		    { "nonce", EST_NONCE },
		    { "simpleenroll", EST_SIMPLEENROLL },
		    { "simplereenroll", EST_SIMPLEREENROLL } };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct route route;

		snprintf(path, sizeof(path), "/.well-known/est/%s", ops[i].name);
		route = parsed(path);
		assert_int_equal(route.op->op, ops[i].op);
		assert_string_equal(route.label, "");
		snprintf(path, sizeof(path), "/.well-known/est/line/%s", ops[i].name);
		route = parsed(path);
		assert_int_equal(route.op->op, ops[i].op);
		assert_string_equal(route.label, "line");
		snprintf(path, sizeof(path), "/line/.well-known/est/%s", ops[i].name);
		route = parsed(path);
		assert_int_equal(route.op->op, ops[i].op);
		assert_string_equal(route.label, "line");
	}
}

static void decodes_percent_and_takes_colons_in_labels(void **state)
{
	(void)state;
	assert_string_equal(parsed("/.well-known/est/ca%3A7/cacerts").label, "ca:7");
	assert_string_equal(parsed("/.well-known/est/l%69ne/%63acerts").label, "line");
}

static void refuses_what_is_no_est_path(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"cacerts",
		"/.well-known",
		"/.well-known/est",
		"/.well-known/est/",
		"/.well-known/est/line",
		"/.well-known/est/line/",
		"/.well-known/est/cacerts/",
		"/.well-known/est//cacerts",
		"/.well-known/est/a/b/cacerts",
		"/a/.well-known/est/b/cacerts",
		"/.well-known/est/fullcmc",
		"/.well-known/est/serverkeygen",
		"/.well-known/est/CACERTS",
		"/.well-known/est/cacerts%00",
		"/.well-known/est/cacerts%",
		"/.well-known/est/cacerts%2",
		"/.well-known/est/cacerts%zz",
		"/.well-known/est/li%2fne/cacerts",
		"/.well-known/est/li ne/cacerts",
		"/well-known/est/cacerts",
		"/a/b/.well-known/est/cacerts",
		"/.well-known/est/a23456789012345678901234567890123/cacerts",
		"/.well-known/coap/cacerts",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct route route;

		if (route_parse(BLOB_STR(paths[i]), &route, NULL) != REASON_HTTP_PATH)
			fail_msg("\"%s\" was taken", paths[i]);
	}
}

static void asks_for_the_right_method(void **state)
{
	const struct route_op *enrol = parsed("/.well-known/est/simpleenroll").op;
	const struct route_op *cacerts = parsed("/.well-known/est/cacerts").op;
	const struct route_op *nonce = parsed("/.well-known/est/nonce").op;

	(void)state;
	assert_int_equal(route_check(enrol, HTTP_GET, NULL, NULL), REASON_HTTP_METHOD);
	assert_int_equal(route_check(cacerts, HTTP_POST, "application/pkcs10", NULL), REASON_HTTP_METHOD);
	assert_int_equal(route_check(cacerts, http_method("HEAD"), NULL, NULL), REASON_OK);
	assert_int_equal(route_check(enrol, http_method("HEAD"), NULL, NULL), REASON_HTTP_METHOD);
	assert_int_equal(route_check(cacerts, http_method("head"), NULL, NULL), REASON_HTTP_METHOD);
	assert_int_equal(route_check(cacerts, http_method("get"), NULL, NULL), REASON_HTTP_METHOD);
	assert_int_equal(route_check(cacerts, http_method("GET"), NULL, NULL), REASON_OK);
	assert_int_equal(route_check(nonce, HTTP_GET, NULL, NULL), REASON_OK);
	assert_string_equal(http_methods_text(nonce->methods), "GET, HEAD, POST");
	assert_string_equal(http_methods_text(cacerts->methods), "GET, HEAD");
	assert_string_equal(http_methods_text(enrol->methods), "POST");
}

static void compares_media_types_without_case_and_parameters(void **state)
{
	const struct route_op *enrol = parsed("/.well-known/est/simpleenroll").op;

	(void)state;
	assert_int_equal(route_check(enrol, HTTP_POST, "application/pkcs10", NULL), REASON_OK);
	assert_int_equal(route_check(enrol, HTTP_POST, " Application/PKCS10 ; charset=utf-8", NULL), REASON_OK);
	assert_int_equal(route_check(enrol, HTTP_POST, "application/pkcs10;x=y", NULL), REASON_OK);
	assert_int_equal(route_check(enrol, HTTP_POST, "application/pkcs100", NULL), REASON_HTTP_MEDIA_TYPE);
	assert_int_equal(route_check(enrol, HTTP_POST, "application/pkcs1", NULL), REASON_HTTP_MEDIA_TYPE);
	assert_int_equal(route_check(enrol, HTTP_POST, "application/x-www-form-urlencoded", NULL),
			 REASON_HTTP_MEDIA_TYPE);
	assert_int_equal(route_check(enrol, HTTP_POST, "", NULL), REASON_HTTP_MEDIA_TYPE);
	assert_int_equal(route_check(enrol, HTTP_POST, NULL, NULL), REASON_HTTP_MEDIA_TYPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_every_operation_in_all_three_forms),
		cmocka_unit_test(decodes_percent_and_takes_colons_in_labels),
		cmocka_unit_test(refuses_what_is_no_est_path),
		cmocka_unit_test(asks_for_the_right_method),
		cmocka_unit_test(compares_media_types_without_case_and_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * merge.c - assay-merge: one JSON file that two hands change, quickstart (with each version and port) and who has it.
 *
 * Key by key: what only one of the two has changed is as that one wants it; where both have, it stays as who has it
 * wants it, and a line says so. Arrays whose elements all have a "name" are merged by it, others are one value. Nothing
 * to change: the file's own bytes, with the form that somebody gave them.
 *
 * Threads: one. NULL stands for a key that is not there.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_CHARS 256
#define VALUE_CHARS 80

struct three {
	json_t *made, *yours, *fresh; /* as it was made last, as it lies there, as it would be made now */
};

struct merge {
	const char *file;
	char *const *own; /* keys that are quickstart's whoever has changed them */
	bool failed;
};

static json_t *merge_one(struct merge *merge, const char *path, const struct three *t);

static void help(FILE *out)
{
	fputs("usage: assay-merge MADE YOURS NEW [KEY...]\n"
	      "\n"
	      "Prints YOURS with what differs between MADE and NEW, all three JSON; quickstart calls it.\n"
	      "\n"
	      "  MADE   the file as it was made last\n"
	      "  YOURS  the file as it lies there, perhaps changed by somebody since\n"
	      "  NEW    the file as it would be made now\n"
	      "  KEY    is as in NEW whatever YOURS says: admin.port, est.listeners.est.port (an element by its name)\n"
	      "\n"
	      "Where both have changed a key it stays as in YOURS; standard error names each.\n"
	      "Status 1: one cannot be read or is not JSON.\n"
	      "\n"
	      "example:\n"
	      "  assay-merge made/assay.json assay.json new.json admin.port > merged.json\n",
	      out);
}

static bool same(const json_t *a, const json_t *b)
{
	return a == b || (a != NULL && b != NULL && json_equal(a, b));
}

static const char *text_of(const json_t *value, char out[VALUE_CHARS])
{
	char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	snprintf(out, VALUE_CHARS, "%s", value == NULL ? "nothing" : text == NULL ? "?" : text);
	free(text);
	return out;
}

static void tell(const struct merge *merge, const char *path, const json_t *stays, const json_t *instead,
		 const char *why)
{
	char is[VALUE_CHARS], not [VALUE_CHARS];

	fprintf(stderr, "%s: %s is %s, not %s: %s\n", merge->file, path, text_of(stays, is), text_of(instead, not ),
		why);
}

static bool is_own(const struct merge *merge, const char *path)
{
	for (char *const *own = merge->own; *own != NULL; own++)
		if (strcmp(*own, path) == 0)
			return true;
	return false;
}

/* What is no container, or not in all of them. */
static json_t *choose(const struct merge *merge, const char *path, const struct three *t)
{
	if (same(t->yours, t->fresh))
		return t->yours;
	if (is_own(merge, path)) {
		if (!same(t->yours, t->made))
			tell(merge, path, t->fresh, t->yours, "this one is quickstart's (ports: ASSAY_PORT_BASE)");
		return t->fresh;
	}
	if (same(t->yours, t->made))
		return t->fresh;
	if (!same(t->fresh, t->made))
		tell(merge, path, t->yours, t->fresh, "you have changed it, and so has quickstart");
	return t->yours;
}

/* Takes the reference to `value`; NULL leaves the key out. */
static void put(struct merge *merge, json_t *object, const char *key, json_t *value)
{
	if (value != NULL && json_object_set_new(object, key, value) != 0)
		merge->failed = true;
}

static void merge_key(struct merge *merge, const char *path, const char *key, const struct three *of, json_t *out)
{
	char inner[PATH_CHARS];
	struct three t = { json_object_get(of->made, key), json_object_get(of->yours, key),
			   json_object_get(of->fresh, key) };

	snprintf(inner, sizeof(inner), "%s%s%s", path, path[0] == '\0' ? "" : ".", key);
	put(merge, out, key, merge_one(merge, inner, &t));
}

/* In the order of yours, what is new behind it. */
static json_t *merge_objects(struct merge *merge, const char *path, const struct three *t)
{
	json_t *out = json_object(), *value;
	const char *key;

	if (out == NULL)
		merge->failed = true;
	json_object_foreach(t->yours, key, value)
		merge_key(merge, path, key, t, out);
	json_object_foreach(t->fresh, key, value)
		if (json_object_get(t->yours, key) == NULL)
			merge_key(merge, path, key, t, out);
	return out;
}

/* An object with the array's elements by their names; NULL: they have none, or one twice. */
static json_t *by_name(const json_t *array)
{
	json_t *out = json_is_array(array) ? json_object() : NULL, *element;
	size_t i;

	json_array_foreach(array, i, element) {
		const char *name = json_string_value(json_object_get(element, "name"));

		if (name == NULL || json_object_get(out, name) != NULL || json_object_set(out, name, element) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *values_of(struct merge *merge, json_t *object)
{
	json_t *out = json_array(), *value;
	const char *key;

	json_object_foreach(object, key, value)
		if (json_array_append(out, value) != 0)
			merge->failed = true;
	return out;
}

/* NULL: they are not all arrays of named elements. */
static json_t *merge_named(struct merge *merge, const char *path, const struct three *t)
{
	struct three named = { by_name(t->made), by_name(t->yours), by_name(t->fresh) };
	json_t *merged = NULL, *out = NULL;

	if (named.yours != NULL && named.fresh != NULL && (named.made != NULL || t->made == NULL)) {
		merged = merge_objects(merge, path, &named);
		out = values_of(merge, merged);
	}
	json_decref(merged);
	json_decref(named.made);
	json_decref(named.yours);
	json_decref(named.fresh);
	return out;
}

/* A new reference, or NULL. */
static json_t *merge_one(struct merge *merge, const char *path, const struct three *t)
{
	json_t *named;

	if (json_is_object(t->yours) && json_is_object(t->fresh) && (t->made == NULL || json_is_object(t->made)))
		return merge_objects(merge, path, t);
	named = merge_named(merge, path, t);
	return named != NULL ? named : json_incref(choose(merge, path, t));
}

static json_t *load(const char *path)
{
	FILE *in = fopen(path, "re");
	json_t *value = NULL;
	json_error_t error;

	if (in != NULL)
		value = json_loadf(in, JSON_REJECT_DUPLICATES, &error);
	if (in == NULL || ferror(in))
		fprintf(stderr, "%s: cannot be read: %m\n", path);
	else if (value == NULL)
		fprintf(stderr, "%s: line %d: %s\n", path, error.line, error.text);
	if (in != NULL)
		fclose(in);
	return value;
}

/* As it lies there. */
static bool print_file(const char *path)
{
	FILE *in = fopen(path, "r");
	int c;

	while (in != NULL && (c = getc(in)) != EOF)
		putchar(c);
	if (in != NULL)
		fclose(in);
	return in != NULL;
}

static bool print_json(const json_t *value)
{
	bool done = json_dumpf(value, stdout, JSON_INDENT(2)) == 0;

	putchar('\n');
	return done;
}

static int run(char **argv)
{
	struct three t = { load(argv[0]), load(argv[1]), load(argv[2]) };
	const char *slash = strrchr(argv[1], '/');
	struct merge merge = { .file = slash == NULL ? argv[1] : slash + 1, .own = argv + 3 };
	json_t *merged = NULL;
	bool done = false;

	if (t.made != NULL && t.yours != NULL && t.fresh != NULL)
		merged = merge_one(&merge, "", &t);
	if (merged != NULL && !merge.failed)
		done = json_equal(merged, t.yours) ? print_file(argv[1]) : print_json(merged);
	json_decref(merged);
	json_decref(t.made);
	json_decref(t.yours);
	json_decref(t.fresh);
	return done && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool helps = argc == 2 && strcmp(argv[1], "--help") == 0;

	if (argc < 4) {
		help(helps ? stdout : stderr);
		return helps ? 0 : 2;
	}
	return run(argv + 1);
}

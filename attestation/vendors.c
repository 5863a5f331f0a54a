/*
 * vendors.c - vendor roots, one trust list per format: a root of one format never vouches in another.
 *
 * All vendors of a format share its list; which of them vouched shows in the root's key hash.
 */
#include "vendors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOTS_BYTES_MAX (1024 * 1024) /* a PEM file of roots; the largest public collection is under 300 KiB */
#define FORMATS_MAX 16

struct vendors {
	struct trust *roots[FORMATS_MAX]; /* beside formats[] */
};

static bool format_index(const char *name, size_t *ret_index)
{
	for (size_t i = 0; i < n_formats && i < FORMATS_MAX; i++)
		if (strcmp(formats[i]->name, name) == 0) {
			*ret_index = i;
			return true;
		}
	return false;
}

static enum reason read_pem(const struct vendor_options *vendor, struct buf *pem, struct fault *f)
{
	FILE *file = fopen(vendor->roots, "rbe");
	uint8_t chunk[4096];
	size_t n;
	enum reason reason = REASON_OK;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "evidence vendor \"%s\": roots %s: %s", vendor->name, vendor->roots,
				 strerror(errno));
	while (reason == REASON_OK && (n = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		if (pem->len + n > ROOTS_BYTES_MAX)
			reason = fault_set(f, REASON_CONFIG, "evidence vendor \"%s\": roots %s: larger than %d bytes",
					   vendor->name, vendor->roots, ROOTS_BYTES_MAX);
		else
			reason = buf_append(pem, BLOB(chunk, n), f);
	}
	if (reason == REASON_OK && ferror(file))
		reason = fault_set(f, REASON_CONFIG, "evidence vendor \"%s\": roots %s: cannot be read", vendor->name,
				   vendor->roots);
	fclose(file);
	return reason;
}

/* Opens the file alone first, so that a fault names its entry and not the list it is joined to. */
static enum reason add_vendor(const struct vendor_options *vendor, struct buf *pem, struct fault *f)
{
	AUTO(trust_freep) struct trust *alone = NULL;
	AUTO(buf_done) struct buf file = { 0 };
	struct fault why = { 0 };

	TRY(read_pem(vendor, &file, f));
	if (trust_open_pem(vendor->name, buf_blob(&file), &alone, &why) != REASON_OK)
		return fault_set(f, REASON_CONFIG, "evidence vendor \"%.40s\": roots %.80s: %.50s", vendor->name,
				 vendor->roots, why.detail);
	TRY(buf_append(pem, buf_blob(&file), f));
	return buf_append(pem, BLOB("\n", 1), f);
}

static enum reason open_format(const struct vendor_options *options, size_t n, size_t index, struct vendors *vendors,
			       struct fault *f)
{
	AUTO(buf_done) struct buf pem = { 0 };

	for (size_t i = 0; i < n; i++)
		if (strcmp(options[i].format, formats[index]->name) == 0)
			TRY(add_vendor(&options[i], &pem, f));
	if (pem.len == 0)
		return REASON_OK;
	return trust_open_pem(formats[index]->name, buf_blob(&pem), &vendors->roots[index], f);
}

enum reason vendors_open(const struct vendor_options *options, size_t n, struct vendors **ret_vendors, struct fault *f)
{
	AUTO(vendors_freep) struct vendors *vendors = calloc(1, sizeof(*vendors));
	size_t index;

	if (vendors == NULL)
		return fault_set(f, REASON_NO_MEMORY, "vendors");
	for (size_t i = 0; i < n; i++)
		if (!format_index(options[i].format, &index))
			return fault_set(f, REASON_CONFIG,
					 "evidence vendor \"%.40s\": format: \"%s\" given, allowed: %s",
					 options[i].name, options[i].format, formats[0]->name);
	for (size_t i = 0; i < n_formats && i < FORMATS_MAX; i++)
		TRY(open_format(options, n, i, vendors, f));
	*ret_vendors = TAKE(vendors);
	return REASON_OK;
}

void vendors_free(struct vendors *vendors)
{
	if (vendors == NULL)
		return;
	for (size_t i = 0; i < FORMATS_MAX; i++)
		trust_free(vendors->roots[i]);
	free(vendors);
}

struct trust *vendors_roots(const struct vendors *vendors, const struct format *format)
{
	size_t index;

	return format_index(format->name, &index) ? vendors->roots[index] : NULL;
}

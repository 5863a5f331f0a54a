/*
 * mint.c - see mint.h.
 */
#include "mint.h"

#include <openssl/pem.h>
#include <pthread.h>
#include <string.h>

#include "mint_copy.h"

#define THREADS_MAX 16

struct factory {
	const struct mint_plan *plan;
	struct soft_vendor *vendor;
	struct element *model_element;
	struct board model;
	struct form form;
};

/* From nothing. */
static bool make(const struct factory *factory, struct board *board, struct element **ret_element, struct trouble *t)
{
	struct soft_options options = { .vendor = factory->vendor, .attestation_key = ELEMENT_EC_P256 };
	AUTO(auto_element) struct element *element = NULL;

	if (!soft_mint(&options, &element, t) || !element->ops->generate_keypair(element, ELEMENT_EC_P256, t) ||
	    !board_shape(board, element, factory->plan->nonce_len, t))
		return false;
	*ret_element = TAKE(element);
	return true;
}

static bool presign_both(const struct soft *soft, struct presign_room *room, struct board *board, struct trouble *t)
{
	struct presign_key own, chip;

	return presign_key_of(soft->attestation_key, &chip, t) &&
	       presign_key_of(soft->slot[ELEMENT_NEXT].key, &own, t) && presign(room, &chip, &board->of_quote, t) &&
	       presign(room, &own, &board->of_request, t);
}

/* With its element, so that its certificate can be checked. */
static bool make_kept(const struct factory *factory, struct presign_room *room, struct board *board, struct trouble *t)
{
	/* base is the first member of struct soft */
	return make(factory, board, &board->element, t) &&
	       presign_both((const struct soft *)board->element, room, board, t);
}

struct shift {
	const struct factory *factory;
	struct board *boards;
	size_t first, step, n;
	bool ok;
	struct trouble trouble;
};

static void *work(void *user)
{
	struct shift *shift = user;
	struct presign_room *room = NULL;
	size_t every = shift->factory->plan->keep_every;

	shift->ok = presign_room_new(&room, &shift->trouble);
	for (size_t i = shift->first; shift->ok && i < shift->n; i += shift->step) {
		bool kept = every > 0 && i % every == 0;

		shift->ok = kept ? make_kept(shift->factory, room, &shift->boards[i], &shift->trouble)
				 : form_fill(&shift->factory->form, room, &shift->boards[i], &shift->trouble);
	}
	presign_room_free(room);
	return NULL;
}

static bool work_all(const struct factory *factory, struct board *boards, size_t n, unsigned threads, struct trouble *t)
{
	struct shift shift[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
	unsigned started = 0;
	bool ok = true;

	threads = threads > THREADS_MAX ? THREADS_MAX : threads;
	for (unsigned i = 0; i < threads; i++) {
		shift[i] = (struct shift){ .factory = factory, .boards = boards, .first = i, .step = threads, .n = n };
		if (pthread_create(&thread[i], NULL, work, &shift[i]) != 0)
			break;
		started++;
	}
	for (unsigned i = 0; i < started; i++) {
		(void)pthread_join(thread[i], NULL);
		if (ok && !shift[i].ok) {
			ok = false;
			*t = shift[i].trouble;
		}
	}
	return ok && (started == threads || trouble_set(t, "threads cannot be started"));
}

static bool read_vendor_key(const char *folder, EVP_PKEY **ret_key, struct trouble *t)
{
	char path[4096];
	AUTO(auto_file) FILE *file = NULL;

	if (!path_join(folder, "batch-ca.key", path, t))
		return false;
	file = fopen(path, "re");
	*ret_key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
	return *ret_key != NULL || trouble_set(t, "%s: cannot be read", path);
}

static void drop_model(struct factory *factory)
{
	if (factory->model_element != NULL)
		factory->model_element->ops->close(factory->model_element);
	factory->model_element = NULL;
	board_done(&factory->model);
}

/* Devices from nothing until one is as a form must be: every second. */
static bool find_form(struct factory *factory, const EVP_PKEY *vendor_key, struct trouble *t)
{
	do {
		drop_model(factory);
		if (!make(factory, &factory->model, &factory->model_element, t))
			return false;
		if (form_find(&factory->model, (const struct soft *)factory->model_element, vendor_key, &factory->form,
			      t))
			return true;
	} while (t->text[0] == '\0');
	return false;
}

bool mint(const struct mint_plan *plan, struct board *boards, size_t n, unsigned threads, struct trouble *t)
{
	struct factory factory = { .plan = plan };
	EVP_PKEY *vendor_key = NULL;
	bool ok = soft_vendor_open(plan->vendor, &factory.vendor, t) && read_vendor_key(plan->vendor, &vendor_key, t) &&
		  find_form(&factory, vendor_key, t) && work_all(&factory, boards, n, threads, t);

	drop_model(&factory);
	soft_vendor_free(factory.vendor);
	EVP_PKEY_free(vendor_key);
	return ok;
}

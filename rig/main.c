/*
 * main.c - assay-rig: options, the run, what it came to, the exit status.
 */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folders.h"
#include "options.h"
#include "own.h"
#include "request.h"
#include "shift.h"
#include "stop.h"
#include "summary.h"

enum { EXIT_ALL = 0, EXIT_SOME = 1, EXIT_USAGE = 2, EXIT_STOPPED = 130 };

static void auto_vendor(struct soft_vendor **vendor)
{
	soft_vendor_free(*vendor);
}

static int fail(const struct trouble *t, int status)
{
	(void)fprintf(stderr, "assay-rig: %s\n", t->text);
	return status;
}

static bool make_folder(const char *path, struct trouble *t)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return true;
	return trouble_set(t, "--out %s: cannot be made: %s", path, strerror(errno));
}

static struct plan plan_from(const struct options *o, const struct soft_vendor *vendor)
{
	return (struct plan){
		.kind = o->command == COMMAND_REENROL ? PLAN_REENROL : PLAN_ENROL,
		.url = o->url,
		.cacert = o->cacert,
		.rig_cert = o->unattested || o->command == COMMAND_REENROL ? NULL : o->rig_cert,
		.rig_key = o->rig_key,
		.userpass = o->unattested ? o->userpass : NULL,
		.label = o->label,
		.key = o->key,
		.attested = !o->unattested,
		.new_key = o->new_key,
		.name_prefix = o->name,
		.element = { .vendor = vendor, .folder = o->out, .attestation_key = o->attestation_key },
		.patience_s = (double)o->patience_s,
		.timeout_ms = o->timeout_s * 1000,
		.order = o->order,
	};
}

/* The devices there are already: for re-enrolment all with a certificate, to resume all without. */
static bool find_devices(const struct options *o, struct plan *plan, struct folders *ret_folders, size_t *ret_boards,
			 struct trouble *t)
{
	bool reenrol = o->command == COMMAND_REENROL;

	*ret_boards = o->devices == 0 ? 1 : (size_t)o->devices;
	if (!reenrol && !o->resume)
		return true;
	if (!folders_list(o->out, reenrol ? FOLDERS_WITH_CERTIFICATE : FOLDERS_WITHOUT, (size_t)o->devices, ret_folders,
			  t))
		return false;
	if (ret_folders->n == 0 && reenrol)
		return trouble_set(t, "--out %s: no device with a certificate in it; assay-rig enrol --out makes some",
				   o->out);
	if (ret_folders->n < (size_t)o->devices && reenrol)
		return trouble_set(t, "--devices %ld: %s holds only %zu with a certificate", o->devices, o->out,
				   ret_folders->n);
	plan->folders = (const char *const *)ret_folders->path;
	*ret_boards = ret_folders->n;
	return true;
}

static void report(const struct options *o, const struct summary *summary)
{
	if (o->json)
		summary_json(summary, stdout);
	else
		summary_table(summary, stdout);
	(void)fflush(stdout);
	summary_failures(summary, stderr);
	if (!stop_requested())
		return;
	(void)fprintf(stderr, "assay-rig: stopped: %zu of %zu devices were begun, %zu of them have no certificate\n",
		      summary->begun, summary->boards, summary->failed);
	if (o->command == COMMAND_ENROL && o->out != NULL && summary->failed > 0)
		(void)fprintf(stderr, "assay-rig: assay-rig enrol --resume --out %s goes on with them\n", o->out);
}

static int run_shift(const struct options *o, const struct plan *plan, size_t boards)
{
	AUTO(auto_free) struct outcome *outcomes = calloc(boards + 1, sizeof(*outcomes));
	struct shift shift = { .plan = plan, .boards = boards, .stop_on_first = o->stop_on_first };
	struct trouble t = { "not enough memory" };
	struct progress progress;
	struct summary summary;

	shift.stations = (size_t)o->stations < boards ? (unsigned)o->stations : (unsigned)boards;
	progress_init(&progress, stderr, boards, o->quiet);
	if (outcomes == NULL || !shift_run(&shift, &progress, outcomes, &t) ||
	    !summary_make(outcomes, boards, shift.stations, (clock_ms() - progress.begin_ms) / 1e3, &summary))
		return fail(&t, EXIT_SOME);
	report(o, &summary);
	if (stop_requested())
		return EXIT_STOPPED;
	return summary.enrolled == boards ? EXIT_ALL : EXIT_SOME;
}

static void auto_plan(struct plan *plan)
{
	mes_close(plan->mes);
	plan_done(plan);
}

/* Before the shift, so that no board waits for it. */
static void keep_identity(const struct plan *plan)
{
	const char *wish = getenv("ASSAY_RENEW");
	struct est_options who = plan_connection(plan);

	if (who.cert_file != NULL && (wish == NULL || strcmp(wish, "off") != 0))
		own_renew(&who);
}

static int enrol(const struct options *o)
{
	AUTO(auto_vendor) struct soft_vendor *vendor = NULL;
	AUTO(auto_plan) struct plan plan = { 0 };
	AUTO(folders_done) struct folders folders = { 0 };
	struct trouble t;
	size_t boards;

	if (o->command == COMMAND_ENROL && !o->unattested && !o->resume && !soft_vendor_open(o->vendor, &vendor, &t))
		return fail(&t, EXIT_USAGE);
	plan = plan_from(o, vendor);
	if ((o->out != NULL && o->command == COMMAND_ENROL && !o->resume && !make_folder(o->out, &t)) ||
	    !find_devices(o, &plan, &folders, &boards, &t))
		return fail(&t, EXIT_USAGE);
	if (boards == 0) {
		(void)fprintf(stderr, "assay-rig: %s: every device has its certificate already\n", o->out);
		return EXIT_ALL;
	}
	if (o->mes != NULL && !mes_open(o->mes, &plan.mes, &t))
		return fail(&t, EXIT_USAGE);
	keep_identity(&plan);
	if (!stop_install(&t) || !plan_fetch_trust(&plan, &t))
		return fail(&t, EXIT_SOME);
	return run_shift(o, &plan, boards);
}

static bool write_request(const struct options *o, struct element *element, struct trouble *t)
{
	char folder[4096], path[4096];
	AUTO(bytes_done) struct bytes nonce = { 0 };
	AUTO(bytes_done) struct bytes der = { 0 };
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	struct request request = { .evidence = &evidence };

	if (!base64url_decode(o->nonce, &nonce))
		return trouble_set(t, "--nonce: base64url without padding, not '%.60s'", o->nonce);
	return element->ops->attest(element, nonce.ptr, nonce.len, &evidence, t) &&
	       request_build(element, &request, &der, t) && path_join(o->out, element->id, folder, t) &&
	       path_join(folder, "request.der", path, t) && file_write(path, der.ptr, der.len, t);
}

static bool mint_one(const struct options *o, const struct soft_options *soft, struct trouble *t)
{
	AUTO(auto_element) struct element *element = NULL;

	if (!soft_mint(soft, &element, t) || !element->ops->power_up(element, t) ||
	    !element->ops->generate_keypair(element, o->key, t) || (o->nonce != NULL && !write_request(o, element, t)))
		return false;
	(void)printf("%s/%s\n", o->out, element->id);
	return true;
}

static int mint(const struct options *o)
{
	AUTO(auto_vendor) struct soft_vendor *vendor = NULL;
	struct soft_options soft = { .folder = o->out, .attestation_key = o->attestation_key };
	struct trouble t;

	if (!soft_vendor_open(o->vendor, &vendor, &t) || !make_folder(o->out, &t))
		return fail(&t, EXIT_USAGE);
	soft.vendor = vendor;
	for (long i = 0; i < (o->devices == 0 ? 1 : o->devices); i++)
		if (!mint_one(o, &soft, &t))
			return fail(&t, EXIT_SOME);
	return EXIT_ALL;
}

int main(int argc, char **argv)
{
	struct options options;
	struct trouble t;
	int status;

	(void)umask(077); /* keys are for their owner alone */
	(void)signal(SIGPIPE, SIG_IGN);
	switch (options_parse(argc, argv, &options, &t)) {
	case OPTIONS_HELP:
		return EXIT_ALL;
	case OPTIONS_WRONG:
		return fail(&t, EXIT_USAGE);
	case OPTIONS_RUN:
		break;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fail(&(struct trouble){ "libcurl does not start" }, EXIT_SOME);
	status = options.command == COMMAND_ELEMENT ? mint(&options) : enrol(&options);
	curl_global_cleanup();
	return status;
}

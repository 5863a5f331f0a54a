/*
 * p11_shim.c - a PKCS#11 module that stands between the ca and its token: counts, logs, delays, fails, crashes.
 *
 * It loads the real module named by ASSAY_SHIM_MODULE and hands every call through but those of a signature. What it
 * does is steered by a control file (ASSAY_SHIM_CONTROL, mapped shared), so that a test changes it while the ca runs;
 * every digest that the token really signed is appended to ASSAY_SHIM_LOG as one line of hex, so that a test can ask
 * the ledger to account for each of them.
 *
 * Control file: eight 64-bit little-endian words, see struct control.
 * Threads: as many as the real module takes; the words are atomics.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define STEP_US 10000

enum mode {
	MODE_PASS, /* only count and delay */
	MODE_FAIL_BEFORE, /* C_SignInit fails: the token is never asked */
	MODE_FAIL_AFTER, /* the token signs, the answer is lost: CKR_DEVICE_ERROR */
	MODE_CRASH_BEFORE, /* the process ends before the token is asked */
	MODE_CRASH_AFTER, /* ... after the token has signed */
	MODE_GARBAGE, /* the signature comes back altered */
	MODE_SESSION_LOST, /* CKR_SESSION_HANDLE_INVALID: what a network token answers after a restart */
	MODE_NO_COPIES, /* C_CopyObject is refused, as tokens do whose keys are not copyable */
};

struct control {
	atomic_uint_fast64_t mode; /* enum mode */
	atomic_uint_fast64_t delay_us; /* added to each signature, outside the real module: sessions overlap */
	atomic_uint_fast64_t skip; /* so many signatures pass before mode counts */
	atomic_uint_fast64_t signatures; /* made by the token */
	atomic_uint_fast64_t refused; /* answered with an error by this shim */
	atomic_uint_fast64_t sessions; /* C_OpenSession that succeeded */
	atomic_uint_fast64_t logins;
	atomic_uint_fast64_t spare;
};

static CK_FUNCTION_LIST *token; /* the real module */
static CK_FUNCTION_LIST shim;
static struct control *control;
static int log_fd = -1;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Looks at the delay again and again: a test lets those go that wait when it has seen enough. */
static void wait_delay(void)
{
	uint64_t begun_us = now_us(), waited_us = 0, delay_us;

	while ((delay_us = atomic_load(&control->delay_us)) > waited_us) {
		uint64_t step_us = delay_us - waited_us < STEP_US ? delay_us - waited_us : STEP_US;

		nanosleep(&(struct timespec){ .tv_nsec = (long)step_us * 1000 }, NULL);
		waited_us = now_us() - begun_us;
	}
}

/* The mode that holds for this signature: MODE_PASS while `skip` counts down. */
static enum mode take_mode(void)
{
	uint_fast64_t left = atomic_load(&control->skip);

	while (left > 0)
		if (atomic_compare_exchange_weak(&control->skip, &left, left - 1))
			return MODE_PASS;
	return (enum mode)atomic_load(&control->mode);
}

static void log_digest(const CK_BYTE *data, CK_ULONG len)
{
	char line[2 * 128 + 2];
	size_t n = len < 128 ? len : 128;

	if (log_fd < 0)
		return;
	for (size_t i = 0; i < n; i++)
		snprintf(line + 2 * i, 3, "%02x", data[i]);
	line[2 * n] = '\n';
	if (write(log_fd, line, 2 * n + 1) < 0)
		abort(); /* a signature that is not logged would make the test lie */
}

static CK_RV refuse(CK_RV rv)
{
	atomic_fetch_add(&control->refused, 1);
	return rv;
}

static CK_RV shim_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	if (atomic_load(&control->skip) == 0) {
		switch ((enum mode)atomic_load(&control->mode)) {
		case MODE_FAIL_BEFORE:
			return refuse(CKR_DEVICE_ERROR);
		case MODE_SESSION_LOST:
			return refuse(CKR_SESSION_HANDLE_INVALID);
		case MODE_CRASH_BEFORE:
			_exit(139);
		default:
			break;
		}
	}
	return token->C_SignInit(session, mechanism, key);
}

static CK_RV shim_sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig, CK_ULONG *sig_len)
{
	enum mode mode;
	CK_RV rv;

	if (sig == NULL) /* asks for the length only */
		return token->C_Sign(session, data, data_len, sig, sig_len);
	mode = take_mode();
	wait_delay();
	rv = token->C_Sign(session, data, data_len, sig, sig_len);
	if (rv != CKR_OK)
		return rv;
	log_digest(data, data_len);
	atomic_fetch_add(&control->signatures, 1);
	if (mode == MODE_CRASH_AFTER)
		_exit(139);
	if (mode == MODE_FAIL_AFTER)
		return refuse(CKR_DEVICE_ERROR);
	if (mode == MODE_GARBAGE)
		sig[*sig_len - 1] ^= 1;
	return CKR_OK;
}

static CK_RV shim_copy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *other, CK_ULONG n,
                              CK_OBJECT_HANDLE *copy)
{
	if ((enum mode)atomic_load(&control->mode) == MODE_NO_COPIES)
		return refuse(CKR_ACTION_PROHIBITED);
	return token->C_CopyObject(session, object, other, n, copy);
}

static CK_RV shim_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *session)
{
	CK_RV rv = token->C_OpenSession(slot, flags, application, notify, session);

	if (rv == CKR_OK)
		atomic_fetch_add(&control->sessions, 1);
	return rv;
}

static CK_RV shim_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	atomic_fetch_add(&control->logins, 1);
	return token->C_Login(session, user, pin, len);
}

static void map_control(void)
{
	static struct control own; /* without a control file: pass everything through */
	const char *path = getenv("ASSAY_SHIM_CONTROL");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	control = &own;
	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(struct control)) == 0) {
		void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (map != MAP_FAILED)
			control = map;
	}
	close(fd);
}

static CK_RV load(void)
{
	const char *path = getenv("ASSAY_SHIM_MODULE"), *log = getenv("ASSAY_SHIM_LOG");
	void *module = dlopen(path == NULL ? "/usr/lib/softhsm/libsofthsm2.so" : path, RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get_list)(CK_FUNCTION_LIST **);

	if (module == NULL) {
		fprintf(stderr, "p11_shim: %s\n", dlerror());
		return CKR_GENERAL_ERROR;
	}
	*(void **)&get_list = dlsym(module, "C_GetFunctionList");
	if (get_list == NULL || get_list(&token) != CKR_OK)
		return CKR_GENERAL_ERROR;
	map_control();
	if (log != NULL)
		log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	shim = *token;
	shim.C_SignInit = shim_sign_init;
	shim.C_Sign = shim_sign;
	shim.C_CopyObject = shim_copy_object;
	shim.C_OpenSession = shim_open_session;
	shim.C_Login = shim_login;
	return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret_list);
CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret_list)
{
	if (token == NULL) {
		CK_RV rv = load();

		if (rv != CKR_OK)
			return rv;
	}
	*ret_list = &shim;
	return CKR_OK;
}

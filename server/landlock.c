/*
 * landlock.c - which files ra, va and admin may open: those of their own that their configuration names, the system's
 * libraries, and nothing to write to; and, where the kernel can, no connection over TCP of their own making.
 *
 * The point is what is left out: the PIN, the token's folder, the ledger's password, other roles' keys and everybody's
 * home. The ca is not confined here: which files its PKCS#11 module needs is the module's secret; its unit file does
 * that.
 *
 * A rule follows the file and not its name, so a file that is replaced by renaming can be read again only if its folder
 * was opened up. A folder that holds what the role must not read is not: of such a folder only the file is, and the log
 * says that it has to be written in place, or to lie elsewhere.
 *
 * Spec: Linux Documentation/userspace-api/landlock.rst, ABI 1 to 6, through raw system calls (Debian 12 has no library,
 * and its header knows ABI 2).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "observe/log.h"
#include "role.h"

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_ONLY (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

/* What the header of Debian 12 lacks. */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)       /* ABI 2: link and rename from folder to folder */
#define FS_TRUNCATE (UINT64_C(1) << 14)    /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15)   /* ABI 5 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1) /* ABI 4 */
#define SCOPE_ALL UINT64_C(3)              /* ABI 6: abstract Unix sockets, signals: to itself alone */

struct ruleset {
	uint64_t fs, net, scoped;
};

/* What each ABI can take away, and how much of struct ruleset its kernel knows. */
static const struct {
	struct ruleset handled;
	size_t len;
} abis[] = {
	{ { FS_ABI_1, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE, 0, 0 }, 8 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE, NET_CONNECT_TCP, 0 }, 16 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_CONNECT_TCP, 0 }, 16 },
	{ { FS_ABI_1 | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV, NET_CONNECT_TCP, SCOPE_ALL }, 24 },
};
#define N_ABIS (sizeof(abis) / sizeof(abis[0]))

/* Shared libraries and their configuration, time zones, random bytes, what sanitizers look at. */
static const struct {
	const char *path;
	uint64_t access;
} system_paths[] = {
	{ "/usr", READ },
	{ "/lib", READ },
	{ "/lib64", READ },
	{ "/etc/ld.so.cache", READ },
	{ "/etc/localtime", READ },
	{ "/etc/ssl/openssl.cnf", READ },
	{ "/etc/gnutls", READ },
	{ "/etc/gai.conf", READ },
	{ "/etc/nsswitch.conf", READ },
	{ "/etc/hosts", READ },
	{ "/dev/urandom", READ },
	{ "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE },
	{ "/proc/self", READ },
	{ "/proc/sys/vm", READ },
	{ "/sys/devices/system/cpu", READ },
};

#define RA (1U << ROLE_RA)
#define VA (1U << ROLE_VA)
#define ADMIN (1U << ROLE_ADMIN)

/* Files that the configuration names, whose they are, which of them are a secret before the other roles, and which are
 * read at the start alone. A new file that a role reads needs its row here. */
static const struct named_file {
	size_t offset;
	unsigned roles;
	bool secret, once;
} named_files[] = {
	/* clang-format off */
	{ offsetof(struct config, est.certificate),   RA,              false, false },
	{ offsetof(struct config, est.key),           RA,              true,  false },
	{ offsetof(struct config, est.nonce_key),     RA,              true,  false },
	{ offsetof(struct config, est.ticket_key),    RA,              true,  false },
	{ offsetof(struct config, trust.rigs),        RA,              false, false },
	{ offsetof(struct config, trust.vendors),     RA,              false, false },
	{ offsetof(struct config, users),             RA,              false, false },
	{ offsetof(struct config, profiles),          RA,              false, false },
	{ offsetof(struct config, root),              RA | VA | ADMIN, false, false },
	{ offsetof(struct config, admin.certificate), ADMIN,           false, false },
	{ offsetof(struct config, admin.key),         ADMIN,           true,  false },
	{ offsetof(struct config, admin.clients),     ADMIN,           false, false },
	{ offsetof(struct config, run_dir),           ADMIN,           false, false }, /* the others' counters */
	{ offsetof(struct config, ledger.reader_passfile), ADMIN,      true,  false },
	{ offsetof(struct config, token.pin_file),    0,               true,  true  },
	{ offsetof(struct config, state_dir),         0,               true,  true  }, /* the ledger's anchors */
	/* clang-format on */
};
#define N_NAMED (sizeof(named_files) / sizeof(named_files[0]))

struct fence {
	int ruleset;
	const struct config *config;
	enum role role;
	bool broken;
};

/* A path that is not there is no fault: it cannot be opened either. */
static void allow(struct fence *fence, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FILE_ONLY;
	if (syscall(SYS_landlock_add_rule, fence->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		fence->broken = true;
	close(rule.parent_fd);
}

static const char *named(const struct config *config, size_t i)
{
	return *(const char *const *)((const char *)config + named_files[i].offset);
}

static bool holds(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	return path != NULL && strncmp(folder, path, len) == 0 && path[len] == '/';
}

/* Whether the folder holds what this role must not read. */
static const char *foreign_secret(const struct fence *fence, const char *folder)
{
	for (size_t i = 0; i < N_NAMED; i++)
		if (named_files[i].secret && (named_files[i].roles & (1U << fence->role)) == 0 &&
		    holds(folder, named(fence->config, i)))
			return named(fence->config, i);
	return NULL;
}

static void tell_in_place(const char *path, const char *secret)
{
	log_event(LOG_INFO, "reload_in_place_only", "file", LOG_STR, path, "beside", LOG_STR, secret, "detail", LOG_STR,
		  "its folder holds what this role must not read: a file put in its place cannot be read before a "
		  "restart; keep the two in folders of their own",
		  NULL);
}

/* A file with its folder, where the role may read all of that. */
static void allow_file(struct fence *fence, const char *path)
{
	char folder[PATH_MAX];
	const char *secret;
	struct stat st;
	bool is_folder;

	if (path == NULL)
		return;
	is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	snprintf(folder, sizeof(folder), "%s", path);
	if (!is_folder)
		dirname(folder); /* an absolute path is cut in place */
	secret = foreign_secret(fence, folder);
	if (secret == NULL || !is_folder)
		allow(fence, secret == NULL ? folder : path, READ);
	if (secret != NULL)
		tell_in_place(path, secret);
}

static void allow_configured(struct fence *fence)
{
	const struct config *config = fence->config;

	for (size_t i = 0; i < N_NAMED; i++)
		if ((named_files[i].roles & (1U << fence->role)) == 0 || named(config, i) == NULL)
			continue;
		else if (named_files[i].once)
			allow(fence, named(config, i), READ);
		else
			allow_file(fence, named(config, i));
	for (size_t i = 0; fence->role == ROLE_RA && i < config->n_evidence; i++)
		allow_file(fence, config->evidence[i].roots);
	for (size_t i = 0; i < config->n_issuers; i++)
		allow_file(fence, config->issuer[i].certificate);
}

static bool enforce(const struct config *config, enum role role)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct fence fence = { .config = config, .role = role };
	size_t known;
	bool done;

	if (abi < 1)
		return false;
	known = ((size_t)abi < N_ABIS ? (size_t)abi : N_ABIS) - 1;
	fence.ruleset = (int)syscall(SYS_landlock_create_ruleset, &abis[known].handled, abis[known].len, 0);
	if (fence.ruleset < 0)
		return false;
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		allow(&fence, system_paths[i].path, system_paths[i].access);
	allow_configured(&fence);
	done = !fence.broken && syscall(SYS_landlock_restrict_self, fence.ruleset, 0) == 0;
	close(fence.ruleset);
	return done;
}

void role_confine(const struct config *config, enum role role)
{
	if (role == ROLE_CA)
		return;
	errno = 0;
	if (!enforce(config, role))
		log_event(LOG_WARN, "landlock_off", "detail", LOG_STR,
			  "this kernel does not confine files: the role can open what its user can", "errno", LOG_INT,
			  (int64_t)errno, NULL);
}

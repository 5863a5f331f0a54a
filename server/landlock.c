/*
 * landlock.c - what ra, va and admin may open: what their configuration names, the system's libraries, their run_dir.
 *
 * The point is what is left out: the PIN, the token's folder and everybody's home. A folder that holds the PIN is never
 * opened up; of such a folder only the named file is. The ca is not confined here: which files its PKCS#11 module needs
 * is the module's secret; its unit file does that.
 *
 * Spec: Linux Documentation/userspace-api/landlock.rst, ABI 1, through raw system calls (Debian 12 has no library).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "observe/log.h"
#include "role.h"

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                                          \
	(READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define FILE_ONLY (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

/* Shared libraries and their configuration, time zones, resolvers, random bytes, what sanitizers look at. */
static const struct {
	const char *path;
	uint64_t access;
} system_paths[] = {
	{ "/usr", READ | LANDLOCK_ACCESS_FS_EXECUTE },
	{ "/lib", READ | LANDLOCK_ACCESS_FS_EXECUTE },
	{ "/lib64", READ | LANDLOCK_ACCESS_FS_EXECUTE },
	{ "/etc", READ },
	{ "/dev/urandom", READ },
	{ "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE },
	{ "/proc", READ },
	{ "/sys", READ },
};

struct fence {
	int ruleset;
	const char *pin_file;
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

static bool holds(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	return strncmp(folder, path, len) == 0 && path[len] == '/';
}

/* A file, with its folder where that is harmless: files there are replaced by renaming, and a rule follows the old one.
 */
static void allow_file(struct fence *fence, const char *path)
{
	char copy[PATH_MAX];
	const char *folder;

	if (path == NULL)
		return;
	snprintf(copy, sizeof(copy), "%s", path);
	folder = dirname(copy);
	allow(fence, holds(folder, fence->pin_file) ? path : folder, READ);
}

static void allow_configured(struct fence *fence, const struct config *config)
{
	const char *const files[] = {
		config->path,
		config->est.certificate,
		config->est.key,
		config->est.nonce_key,
		config->est.ticket_key,
		config->admin.certificate,
		config->admin.key,
		config->admin.clients,
		config->trust.rigs,
		config->trust.vendors,
		config->users,
		config->root,
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		allow_file(fence, files[i]);
	for (size_t i = 0; i < config->n_evidence; i++)
		allow_file(fence, config->evidence[i].roots);
	for (size_t i = 0; i < config->n_issuers; i++)
		allow_file(fence, config->issuer[i].certificate);
	allow(fence, config->profiles, READ);
	allow(fence, config->run_dir, WRITE);
}

static bool enforce(const struct config *config)
{
	const struct landlock_ruleset_attr all = { .handled_access_fs =
							   WRITE | LANDLOCK_ACCESS_FS_EXECUTE |
							   LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR |
							   LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_FIFO |
							   LANDLOCK_ACCESS_FS_MAKE_CHAR |
							   LANDLOCK_ACCESS_FS_MAKE_BLOCK };
	struct fence fence = { .pin_file = config->token.pin_file };
	bool done;

	fence.ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (fence.ruleset < 0)
		return false;
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		allow(&fence, system_paths[i].path, system_paths[i].access);
	allow_configured(&fence, config);
	done = !fence.broken && syscall(SYS_landlock_restrict_self, fence.ruleset, 0) == 0;
	close(fence.ruleset);
	return done;
}

void role_confine(const struct config *config, enum role role)
{
	if (role == ROLE_CA)
		return;
	errno = 0;
	if (!enforce(config))
		log_event(LOG_WARN, "landlock_off", "detail", LOG_STR,
			  "this kernel does not confine files: the role can open what its user can", "errno", LOG_INT,
			  (int64_t)errno, NULL);
}

/* metrics.c - see metrics.h. The Prometheus text is made in prometheus.c. */
#include "observe/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/metrics_file.h"

/* In a folder that is not the role's the file has been made for it (deploy/systemd): it is emptied in place. */
static enum reason take_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return REASON_CONFIG;
	if (ftruncate(fd, sizeof(struct metrics)) != 0) { /* never shorter: somebody may have it mapped */
		close(fd);
		return REASON_CONFIG;
	}
	*ret_fd = fd;
	return REASON_OK;
}

/* A file of its own under a new name, then renamed: who still reads the old one keeps it whole. */
static enum reason create_file(const char *path, int *ret_fd, struct fault *f)
{
	char temporary[512];
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 && errno == EACCES && take_file(path, ret_fd) == REASON_OK)
		return REASON_OK;
	if (fd < 0)
		return fault_set(f, REASON_CONFIG, "run_dir: cannot create %s: %s", temporary, strerror(errno));
	/* counters are no secret, and admin may be another user */
	if (fchmod(fd, 0644) != 0 || ftruncate(fd, sizeof(struct metrics)) != 0 || rename(temporary, path) != 0) {
		fault_set(f, REASON_CONFIG, "run_dir: cannot make %s: %s", path, strerror(errno));
		close(fd);
		return REASON_CONFIG;
	}
	*ret_fd = fd;
	return REASON_OK;
}

enum reason metrics_open(const char *run_dir, const char *role, struct metrics **ret_metrics, struct fault *f)
{
	char path[480];
	struct metrics *m;
	int fd = -1;

	snprintf(path, sizeof(path), "%s/metrics.%s", run_dir, role);
	TRY(create_file(path, &fd, f));
	m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (m == MAP_FAILED)
		return fault_set(f, REASON_NO_MEMORY, "cannot map %s: %s", path, strerror(errno));
	memset(m, 0, sizeof(*m));
	snprintf(m->role, sizeof(m->role), "%s", role);
	m->version = METRICS_VERSION;
	m->magic = METRICS_MAGIC;
	*ret_metrics = m;
	return REASON_OK;
}

enum reason metrics_map(const char *run_dir, const char *role, const struct metrics **ret_metrics)
{
	char path[480];
	struct stat st;
	const struct metrics *m;
	int fd;

	snprintf(path, sizeof(path), "%s/metrics.%s", run_dir, role);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return REASON_CONFIG;
	if (fstat(fd, &st) != 0 || st.st_size != sizeof(*m)) {
		close(fd);
		return REASON_CONFIG;
	}
	m = mmap(NULL, sizeof(*m), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (m == MAP_FAILED)
		return REASON_NO_MEMORY;
	if (m->magic != METRICS_MAGIC || m->version != METRICS_VERSION) {
		metrics_unmap(m);
		return REASON_CONFIG;
	}
	*ret_metrics = m;
	return REASON_OK;
}

void metrics_unmap(const struct metrics *m)
{
	union {
		const struct metrics *in;
		void *out;
	} address = { .in = m };

	munmap(address.out, sizeof(*m));
}

static unsigned bucket_of(int64_t took_us)
{
	unsigned i = 0;

	while (i < METRICS_BUCKETS - 1 && took_us > metrics_bucket_us(i))
		i++;
	return i;
}

void metrics_request(struct metrics *m, enum metric_op op, enum reason reason, int64_t took_us)
{
	if ((unsigned)reason >= REASON_COUNT)
		reason = REASON_INTERNAL;
	if (took_us < 0)
		took_us = 0;
	atomic_fetch_add_explicit(&m->requests[op][reason], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->latency[op][bucket_of(took_us)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->latency_sum_us[op], (uint64_t)took_us, memory_order_relaxed);
}

void metrics_gauge(struct metrics *m, enum metric_gauge gauge, int64_t value)
{
	atomic_store_explicit(&m->gauge[gauge], value, memory_order_relaxed);
}

void metrics_write_gauge(const char *run_dir, const char *role, enum metric_gauge gauge, int64_t value)
{
	char path[480];
	int64_t bytes = value;
	off_t at = (off_t)(offsetof(struct metrics, gauge) + (size_t)gauge * sizeof(atomic_int_fast64_t));
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), "%s/metrics.%s", run_dir, role);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	written = pwrite(fd, &bytes, sizeof(bytes), at);
	(void)written;
	close(fd);
}

bool metrics_read_gauge(const char *run_dir, const char *role, enum metric_gauge gauge, int64_t *ret_value)
{
	const struct metrics *m;

	if (metrics_map(run_dir, role, &m) != REASON_OK)
		return false;
	*ret_value = atomic_load_explicit(&m->gauge[gauge], memory_order_relaxed);
	metrics_unmap(m);
	return true;
}

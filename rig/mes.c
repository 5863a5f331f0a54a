/*
 * mes.c - appends under a lock, so that a line which did not fit (disk full) can be taken back.
 */
#include "mes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct mes {
	int fd;
	char *path;
	pthread_mutex_t lock; /* among threads; flock() is among programs */
};

bool mes_open(const char *path, struct mes **ret_mes, struct trouble *t)
{
	struct mes *mes = calloc(1, sizeof(*mes));

	if (mes == NULL || (mes->path = strdup(path)) == NULL) {
		free(mes);
		return trouble_set(t, "not enough memory");
	}
	mes->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (mes->fd < 0) {
		(void)trouble_set(t, "--mes %s: cannot be opened for appending: %s", path, strerror(errno));
		free(mes->path);
		free(mes);
		return false;
	}
	(void)pthread_mutex_init(&mes->lock, NULL);
	*ret_mes = mes;
	return true;
}

void mes_close(struct mes *mes)
{
	if (mes == NULL)
		return;
	(void)close(mes->fd);
	(void)pthread_mutex_destroy(&mes->lock);
	free(mes->path);
	free(mes);
}

/* A pipe or terminal cannot take bytes back: there the size stays 0 and is not asked for. */
static bool append_whole(int fd, const char *text, size_t len)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return false;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return true;
	if (n >= 0) {
		errno = ENOSPC;
		if (S_ISREG(st.st_mode) && ftruncate(fd, st.st_size) != 0)
			return false;
	}
	return false;
}

bool mes_append(struct mes *mes, const char *line, struct trouble *t)
{
	AUTO(auto_free) char *text = NULL;
	int len = asprintf(&text, "%s\n", line);
	bool ok;

	if (len < 0)
		return trouble_set(t, "not enough memory");
	(void)pthread_mutex_lock(&mes->lock);
	(void)flock(mes->fd, LOCK_EX);
	ok = append_whole(mes->fd, text, (size_t)len);
	if (!ok)
		(void)trouble_set(t, "%s: the record was not written: %s", mes->path, strerror(errno));
	(void)flock(mes->fd, LOCK_UN);
	(void)pthread_mutex_unlock(&mes->lock);
	return ok;
}

void mes_timestamp(char out[25])
{
	struct timespec now;
	struct tm utc;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &utc);
	(void)strftime(out, 25, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(out + 19, 6, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000U);
}

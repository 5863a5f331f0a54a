/* failing_system.c - the C library's calls that fail on purpose, see failing.h: threads, locks, descriptors, files. */
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "failing_call.h"

/* clang-format off */
FAILS(int, EAGAIN, pthread_create, (pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg), (thread, attr, run, arg))
FAILS(int, ENOMEM, pthread_rwlock_init, (pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr), (lock, attr))
FAILS(int, -1, eventfd, (unsigned n, int flags), (n, flags))
FAILS(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAILS(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
/* clang-format on */

/*
 * seccomp_calls.c - which system calls a role makes once it is open; see seccomp_calls.h. Data alone.
 *
 * A row is a call, with the one use of it that is meant where that can be told from a number. A role that lacks a row
 * gets EPERM, and the kernel's log says which call it was (type=1326, syscall=N). A library's new version may need a new
 * row; nothing that writes files, opens sockets to strangers or touches other processes belongs here but for the ca.
 */
#include "seccomp_calls.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* clang-format off */
#define CALL(name)                 { .number = SCMP_SYS(name) }
#define CALL_IF(name, n, op, ...)  { .number = SCMP_SYS(name), .argument = { (n), SCMP_CMP_##op, __VA_ARGS__ } }
#define CALL_SELF(name)            { .number = SCMP_SYS(name), .own_pid = true }
#define END                        { .number = SEALED_END }

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

const struct sealed_call sealed_never[] = {
	/* other processes */
	CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise), CALL(kcmp),
	CALL(pidfd_getfd), CALL(pidfd_send_signal),
	/* the kernel */
	CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(init_module), CALL(finit_module), CALL(delete_module),
	CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(syslog), CALL(iopl), CALL(ioperm), CALL(modify_ldt),
	CALL(acct), CALL(quotactl), CALL(swapon), CALL(swapoff), CALL(lookup_dcookie), CALL(personality), CALL(vhangup),
	CALL(settimeofday), CALL(clock_settime), CALL(clock_adjtime), CALL(adjtimex), CALL(sethostname), CALL(setdomainname),
	/* keys of the kernel's keyrings */
	CALL(keyctl), CALL(add_key), CALL(request_key),
	/* another view of the files */
	CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(unshare), CALL(setns), CALL(move_mount),
	CALL(open_tree), CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick), CALL(mount_setattr),
	CALL(open_by_handle_at), CALL(name_to_handle_at), CALL(fanotify_init), CALL(mknod), CALL(mknodat),
	END,
};

const struct sealed_call sealed_programs[] = {
	CALL(execve), CALL(execveat), CALL(fork), CALL(vfork),
	CALL_IF(clone, 0, MASKED_EQ, CLONE_THREAD, 0), /* a process, not a thread */
	END,
};

/* A filter cannot see what these are asked to do; libraries know to do without them. */
const struct sealed_call sealed_unseen[] = {
	CALL(clone3), CALL(openat2), CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register),
	END,
};

const struct sealed_call sealed_common[] = {
	/* connections that are there, and the Unix socket to the ca */
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(recvfrom), CALL(sendto), CALL(recvmsg), CALL(sendmsg),
	CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(shutdown), CALL(close),
	CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(accept), CALL(accept4),
	CALL_IF(socket, 0, EQ, AF_UNIX), CALL(connect),
	CALL(fcntl), CALL_IF(ioctl, 1, EQ, FIONBIO), CALL_IF(ioctl, 1, EQ, FIONREAD), CALL(eventfd2), CALL(pipe2),
	/* looking at files; what may be opened is Landlock's to say */
	CALL_IF(openat, 2, MASKED_EQ, WRITING, 0), CALL(pread64), CALL(lseek), CALL(fstat), CALL(newfstatat), CALL(stat),
	CALL(statx), CALL(getdents64), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat),
	CALL(getcwd), CALL(fadvise64), CALL(statfs), CALL(fstatfs),
	/* memory; nothing becomes code */
	CALL(brk), CALL_IF(mmap, 2, MASKED_EQ, PROT_EXEC, 0), CALL(munmap), CALL(mremap), CALL(madvise), CALL(mincore),
	CALL_IF(mprotect, 2, MASKED_EQ, PROT_EXEC, 0), CALL(mlock), CALL(munlock),
	/* threads */
	CALL_IF(clone, 0, MASKED_EQ, CLONE_THREAD, CLONE_THREAD), CALL(set_robust_list), CALL(rseq), CALL(futex),
	CALL(gettid), CALL(getpid), CALL(getppid), CALL(sched_yield), CALL(sched_getaffinity), CALL(membarrier),
	CALL_IF(prctl, 0, EQ, PR_SET_NAME), CALL_IF(prctl, 0, EQ, PR_GET_NAME), CALL(exit), CALL(exit_group),
	CALL(arch_prctl), CALL(get_robust_list), CALL(getcpu),
	/* signals: to itself */
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait), CALL(sigaltstack),
	CALL_SELF(kill), CALL_SELF(tgkill), CALL(restart_syscall),
	/* time, random bytes, who am I */
	CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(time),
	CALL(getrandom), CALL(getrusage), CALL(times), CALL(uname), CALL(sysinfo), CALL(getuid), CALL(geteuid), CALL(getgid),
	CALL(getegid), CALL_IF(prlimit64, 2, EQ, 0), CALL(getrlimit),
	END,
};

/* The listeners are bound by then, and connections begin elsewhere. */
static const struct sealed_call of_ra[] = { END };
static const struct sealed_call of_va[] = { END };
static const struct sealed_call of_admin[] = { END };

/* The ledger's anchors are written, and what a PKCS#11 module does with its files is the module's secret. */
static const struct sealed_call of_ca[] = {
	CALL(openat), CALL(open), CALL(pwrite64), CALL(ftruncate), CALL(fsync), CALL(fdatasync), CALL(flock), CALL(rename),
	CALL(renameat), CALL(renameat2), CALL(unlink), CALL(unlinkat), CALL(mkdir), CALL(mkdirat), CALL(rmdir),
	CALL(lstat), CALL(chmod), CALL(fchmod), CALL(fchmodat), CALL(umask), CALL(dup), CALL(dup3), CALL(socketpair),
	CALL_IF(fallocate, 1, EQ, 0), CALL(utimensat),
	/* modules load parts of themselves late; memory that can be written does not become code */
	CALL_IF(mmap, 2, MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC),
	CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(timerfd_create), CALL(timerfd_settime),
	CALL(shmget), CALL(shmat), CALL(shmdt), CALL(shmctl), CALL(semget), CALL(semop), CALL(semctl),
	CALL(sched_getparam), CALL(sched_getscheduler), CALL(getpgrp), CALL(getsid), CALL(getgroups),
	END,
};

const struct sealed_call sealed_network[] = {
	CALL_IF(socket, 0, EQ, AF_INET), CALL_IF(socket, 0, EQ, AF_INET6), CALL_IF(socket, 0, EQ, AF_NETLINK),
	CALL(bind), CALL(sendmmsg), CALL(recvmmsg),
	END,
};

const struct sealed_call *const sealed_role[ROLE_COUNT] = {
	[ROLE_RA] = of_ra, [ROLE_CA] = of_ca, [ROLE_VA] = of_va, [ROLE_ADMIN] = of_admin,
};
/* clang-format on */

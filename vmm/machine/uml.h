/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_UML_H
#define VMM_MACHINE_UML_H

/*
 * The inside of machine `uml`: a user-mode Linux kernel as a process of the
 * host.
 *
 *	sandbox process		uml.c: memory, console, one vhost-user
 *	   |			connection a device
 *	spawner			uml_spawner.c: PID 1 of namespaces of its own
 *	   |			(uml_jail.c), unprivileged, holds the kernel's
 *	   |			descriptors until it is to start
 *	kernel			uml_exec.c, behind a system call filter
 *	   |			(uml_seccomp.c)
 *	guest processes		traced by the kernel; killed with it
 *
 * The spawner ends when its control socket does, and by PDEATHSIG. The host
 * then kills all that is left in its PID namespace before it reports the end.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/core/vm.h"

enum uml_message_type {
	/* To the spawner. */
	UML_MAPPED, /* the user ID is mapped, go on */
	UML_DEVICE, /* value: virtio ID; with its socket */
	UML_START,
	UML_PAUSE,
	UML_RESUME,
	/* From the spawner. */
	UML_PROC,   /* with /proc/self of the spawner */
	UML_READY,  /* the jail stands */
	UML_DONE,   /* paused, resumed */
	UML_EXITED, /* value: the kernel's wait status */
	UML_FAILED, /* text: why */
};

#define UML_TEXT_MAX 256u

struct uml_message {
	int32_t type; /* enum uml_message_type */
	int32_t value;
	char text[UML_TEXT_MAX];
};

/* A message and at most one descriptor (-1: none). 0 or -errno. */
int uml_send(int sock, enum uml_message_type type, int value, const char *text,
	     int fd) MUST_CHECK;
/* 1; 0: the peer is gone; -errno. *fd (owned by the caller): -1 if none. */
int uml_receive(int sock, struct uml_message *m, int *fd, int flags) MUST_CHECK;

/* What a kernel process gets; descriptors are borrowed. */
struct uml_guest {
	int kernel_fd;
	int memory_fd;
	int initramfs_fd; /* -1: none */
	int console_fd;	  /* read and written */
	uint64_t memory;  /* bytes */
	const char *cmdline;
	unsigned ndevices;
	struct {
		int fd;
		uint16_t id;
	} devices[VM_DEVICES_MAX];
};

struct uml_spawner {
	int control; /* SEQPACKET, struct uml_message */
	int pidfd;
};

/* Forks the spawner; privileged, one thread. It waits for UML_START. */
int uml_spawner_start(struct uml_spawner *spawner,
		      const struct uml_guest *guest,
		      struct err *err) MUST_CHECK;
/* Returns when no process of it is left. */
void uml_spawner_end(struct uml_spawner *spawner);

/* uml_jail.c ------------------------------------------------------------ */

/* Like fork(2), the child in new namespaces, PID 1 of one. *mapped: in a user
 * namespace whose IDs the parent has to map. -errno. */
pid_t uml_jail_fork(int *pidfd, bool *mapped) MUST_CHECK;
/* In the parent. proc_fd: the child's /proc/self. */
int uml_jail_map(int proc_fd, struct err *err) MUST_CHECK;
/* In the child, once mapped: empty root, no privilege left. */
int uml_jail_enter(bool mapped, struct err *err) MUST_CHECK;

/* uml_exec.c ------------------------------------------------------------ */

/* The kernel's argument vector, one allocation; NULL: err. */
char **uml_args(const struct uml_guest *guest, struct err *err);
/* Refuses words of a command line that would undo what uml_args says. */
int uml_check_cmdline(const char *cmdline, struct err *err) MUST_CHECK;

struct uml_filter; /* of libseccomp */

/* Becomes the kernel; comes back with err only. */
void uml_exec(const struct uml_guest *guest, struct uml_filter *filter,
	      int control, struct err *err);

/* uml_seccomp.c --------------------------------------------------------- */

/* Allocates; NULL: err. */
struct uml_filter *uml_filter_new(struct err *err);
void uml_filter_free(struct uml_filter *filter);
/* For this process and all it becomes. 0 or -errno. */
int uml_filter_load(struct uml_filter *filter) MUST_CHECK;

/* uml_kernel.c ---------------------------------------------------------- */

/*
 * Whether the file is a kernel that guest/kernel made: a static executable
 * that kills guest processes with itself. unsafe: only that it is static.
 */
int uml_check_kernel(int fd, bool unsafe, struct err *err) MUST_CHECK;
/* fd, or (closing it) a copy that anyone may read and execute. -errno: err */
int uml_executable(int fd, struct err *err) MUST_CHECK;

/* uml_probe.c ----------------------------------------------------------- */

int uml_probe(struct err *err) MUST_CHECK;

#endif

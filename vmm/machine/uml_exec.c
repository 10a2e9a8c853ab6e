/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/signals.h"
#include "vmm/machine/uml.h"

/* COMMAND_LINE_SIZE of arch/um; one byte is the end. */
#define CMDLINE_MAX 4096u
#define WORDS_MAX 512u
#define CPUS_MAX 8192u

/* Descriptors of the kernel: 0 to 2 are the console. */
#define MEMORY_FD 3
#define INITRAMFS_FD 4
#define DEVICE_FD 5

/* The command line. ------------------------------------------------------ */

/* Words that the machine sets itself, and those that only print and exit. */
static const char *const reserved[] = {
	"mem=",	     "mem_fd=", "initrd=",    "con=",	     "con0=",
	"uml_dir=",  "umid=",	"iomem=",     "virtio_uml.", "--help",
	"--version", "hostfs=", "--showconf", "mode=",
};

/*
 * Copies the next word to dst and ends it; blanks between double quotes
 * belong to a word (as in the kernel's next_arg). NULL: no word is left.
 */
static const char *next_word(const char *s, char *dst)
{
	bool quoted = false;

	s += strspn(s, " \t\n");
	if (!*s)
		return NULL;
	for (; *s && (quoted || !strchr(" \t\n", *s)); s++) {
		if (*s == '"')
			quoted = !quoted;
		*dst++ = *s;
	}
	*dst = '\0';
	return s;
}

int uml_check_cmdline(const char *cmdline, struct err *err)
{
	char word[CMDLINE_MAX];
	const char *s = cmdline;
	unsigned words = 0;

	if (strlen(cmdline) >= CMDLINE_MAX)
		return err_set(err, E2BIG, "command line: longer than %u bytes",
			       CMDLINE_MAX - 1);
	/* What comes after "--" is the kernel's to hand to init, but is
	 * looked at by its start-up code all the same. */
	while ((s = next_word(s, word))) {
		if (++words > WORDS_MAX)
			return err_set(err, E2BIG,
				       "command line: more than %u words",
				       WORDS_MAX);
		for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
			if (!strncmp(word, reserved[i], strlen(reserved[i])))
				return err_set(err, EINVAL,
					       "command line: \"%s\" is not "
					       "the user's to set",
					       reserved[i]);
	}
	return 0;
}

struct args {
	char **argv;
	char *end; /* where the next word goes */
	size_t left;
	unsigned count;
};

/* One allocation: the vector, then the words. */
#define ARGS_MAX (WORDS_MAX + VM_DEVICES_MAX + 8)

PRINTF(2, 3)
static void add(struct args *args, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(args->end, args->left, fmt, ap);
	va_end(ap);
	/* What did not fit shows as nothing left. */
	if (n < 0 || (size_t)n >= args->left || args->count == ARGS_MAX) {
		args->left = 0;
		return;
	}
	args->argv[args->count++] = args->end;
	args->end += n + 1;
	args->left -= (size_t)n + 1;
}

char **uml_args(const struct uml_guest *guest, struct err *err)
{
	size_t vector = (ARGS_MAX + 1) * sizeof(char *);
	struct args args = {.left = CMDLINE_MAX};
	char word[CMDLINE_MAX];
	const char *s = guest->cmdline;

	args.argv = calloc(1, vector + CMDLINE_MAX);
	if (!args.argv) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	args.end = (char *)args.argv + vector;
	add(&args, "linux");
	add(&args, "mem=%llu", (unsigned long long)guest->memory);
	add(&args, "mem_fd=%d", MEMORY_FD);
	if (guest->initramfs_fd >= 0)
		add(&args, "initrd=/fd/%d", INITRAMFS_FD);
	for (unsigned i = 0; i < guest->ndevices; i++)
		add(&args, "virtio_uml.device=/fd/%u:%u", DEVICE_FD + i,
		    guest->devices[i].id);
	add(&args, "con0=fd:0,fd:1");
	add(&args, "con=null");
	/* What the kernel appends otherwise, possibly for init to read. */
	add(&args, "root=98:0");
	add(&args, "console=tty0");
	/* A reset would execute the kernel again, which has no path. With a
	 * value, the word is no argument of init's. */
	add(&args, "noreboot=1");
	while (args.left && (s = next_word(s, word)))
		add(&args, "%s", word);
	if (args.left)
		return args.argv;
	err_set(err, E2BIG,
		"command line: longer than %u bytes, with what the "
		"devices need",
		CMDLINE_MAX - 1);
	free(args.argv);
	return NULL;
}

/* The process. ----------------------------------------------------------- */

static void reset_signals(void)
{
	sigset_t none;

	signals_default();
	/* A pause sends it (uml_spawner.c), maybe before the kernel is there
	 * to handle it. */
	signal(SIGALRM, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * One CPU, any of those allowed: kernel and guest processes take turns, and
 * a turn that crosses CPUs takes three times as long. A matter of speed only:
 * no error.
 */
static void choose_cpu(void)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	unsigned pick;

	if (!set || sched_getaffinity(0, size, set) < 0 ||
	    getrandom(&pick, sizeof(pick), 0) != sizeof(pick)) {
		CPU_FREE(set);
		return;
	}
	pick %= (unsigned)CPU_COUNT_S(size, set);
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!CPU_ISSET_S(cpu, size, set) || pick-- > 0)
			continue;
		CPU_ZERO_S(size, set);
		CPU_SET_S(cpu, size, set);
		(void)sched_setaffinity(0, size, set);
		break;
	}
	CPU_FREE(set);
}

static int set_limits(const struct uml_guest *guest, struct err *err)
{
	const struct {
		__rlimit_resource_t resource;
		rlim_t value;
	} limits[] = {
		/* 1: no core file, and none to a program either (core(5)). */
		{RLIMIT_CORE, 1},
		{RLIMIT_NOFILE, 1024},
		/* A guest's address space is a process of the host. */
		{RLIMIT_NPROC, 16384},
		/* The memory is all it writes to. */
		{RLIMIT_FSIZE, guest->memory},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NICE, 0},
		{RLIMIT_RTPRIO, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit old, new;

		if (getrlimit(limits[i].resource, &old) < 0)
			return err_sys(err, "getrlimit");
		new.rlim_max = MIN(old.rlim_max, limits[i].value);
		new.rlim_cur = new.rlim_max;
		if (setrlimit(limits[i].resource, &new) < 0)
			return err_sys(err, "setrlimit");
	}
	return 0;
}

/* First all out of the way of all, then each to its number. */
static int place_fds(struct uml_guest *guest, int *control, struct err *err)
{
	int first_free = DEVICE_FD + (int)VM_DEVICES_MAX;
	int *const sources[] = {
		&guest->kernel_fd,  &guest->memory_fd, &guest->initramfs_fd,
		&guest->console_fd, control,
	};
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (*sources[i] < 0)
			continue;
		*sources[i] = fcntl(*sources[i], F_DUPFD_CLOEXEC, first_free);
		if (*sources[i] < 0)
			return err_sys(err, "fcntl");
	}
	for (unsigned i = 0; i < guest->ndevices; i++) {
		int *fd = &guest->devices[i].fd;

		*fd = fcntl(*fd, F_DUPFD_CLOEXEC, first_free);
		if (*fd < 0)
			return err_sys(err, "fcntl");
	}
	for (int fd = 0; fd < 3 && ret >= 0; fd++)
		ret = dup2(guest->console_fd, fd);
	if (ret >= 0)
		ret = dup2(guest->memory_fd, MEMORY_FD);
	if (ret >= 0 && guest->initramfs_fd >= 0)
		ret = dup2(guest->initramfs_fd, INITRAMFS_FD);
	for (unsigned i = 0; i < guest->ndevices && ret >= 0; i++)
		ret = dup2(guest->devices[i].fd, DEVICE_FD + (int)i);
	return ret < 0 ? err_sys(err, "dup2") : 0;
}

static int close_others(const struct uml_guest *guest, struct err *err)
{
	unsigned first = DEVICE_FD + guest->ndevices;

	if (guest->initramfs_fd < 0)
		close(INITRAMFS_FD);
	/* The kernel's file is needed up to the very call. */
	if (syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(err, "close_range");
	return 0;
}

void uml_exec(const struct uml_guest *from, struct uml_filter *filter,
	      int control, struct err *err)
{
	static char *const environment[] = {NULL};
	struct uml_guest guest = *from;
	AUTO_FREE char **argv = uml_args(&guest, err);
	int ret;

	if (!argv)
		return;
	reset_signals();
	choose_cpu();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
		err_sys(err, "prctl");
		return;
	}
	/* The kernel takes a gap before the heap for memory. */
	if (personality(ADDR_NO_RANDOMIZE) < 0) {
		err_sys(err, "personality");
		return;
	}
	ret = set_limits(&guest, err);
	if (!ret)
		ret = place_fds(&guest, &control, err);
	if (!ret)
		ret = close_others(&guest, err);
	if (ret < 0)
		return;
	ret = uml_filter_load(filter);
	if (ret < 0) {
		err_ret(err, ret, "system call filter");
		return;
	}
	syscall(SYS_execveat, guest.kernel_fd, "", argv, environment,
		AT_EMPTY_PATH);
	err_sys(err, "starting the kernel");
}

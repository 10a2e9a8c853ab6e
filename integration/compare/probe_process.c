/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of the process itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "integration/compare/probe.h"

/*
 * The C library's own two signals, 32 and 33: its posix_spawn() leaves them
 * ignored in every descendant, and make uses it, but not everybody.
 */
static void mask_library_signals(char *value)
{
	unsigned long long set = strtoull(value, NULL, 16) & ~(3ull << 31);

	(void)snprintf(value, 17, "%016llx", set);
}

/* All of /proc/self/status but what changes from one moment to the next. */
static void status(void)
{
	static const char *const unsteady[] = {
		"Vm",	"Rss",	      "Hugetlb",       "FDSize",
		"SigQ", "voluntary_", "nonvoluntary_",
	};
	FILE *f = fopen("/proc/self/status", "re");
	char line[4096], key[128];

	while (f && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');
		bool skip = !value;

		for (size_t i = 0; i < ARRAY_SIZE(unsteady); i++)
			skip |= strncmp(line, unsteady[i],
					strlen(unsteady[i])) == 0;
		if (skip)
			continue;
		*value++ = '\0';
		value += strspn(value, "\t ");
		value[strcspn(value, "\n")] = '\0';
		if (!strcmp(line, "SigIgn"))
			mask_library_signals(value);
		(void)snprintf(key, sizeof(key), "status.%.60s", line);
		tell(key, "%s", value);
	}
	if (f)
		(void)fclose(f);
}

static void limits(void)
{
	static const char *const names[] = {
		[RLIMIT_AS] = "AS",
		[RLIMIT_CORE] = "CORE",
		[RLIMIT_CPU] = "CPU",
		[RLIMIT_DATA] = "DATA",
		[RLIMIT_FSIZE] = "FSIZE",
		[RLIMIT_LOCKS] = "LOCKS",
		[RLIMIT_MEMLOCK] = "MEMLOCK",
		[RLIMIT_MSGQUEUE] = "MSGQUEUE",
		[RLIMIT_NICE] = "NICE",
		[RLIMIT_NOFILE] = "NOFILE",
		[RLIMIT_NPROC] = "NPROC",
		[RLIMIT_RSS] = "RSS",
		[RLIMIT_RTPRIO] = "RTPRIO",
		[RLIMIT_RTTIME] = "RTTIME",
		[RLIMIT_SIGPENDING] = "SIGPENDING",
		[RLIMIT_STACK] = "STACK",
	};

	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
		struct rlimit limit;
		char key[64];

		(void)snprintf(key, sizeof(key), "rlimit.%s", names[i]);
		if (getrlimit((enum __rlimit_resource)i, &limit) < 0)
			tell(key, "%s", strerrorname_np(errno));
		else
			tell(key, "%lld %lld", (long long)limit.rlim_cur,
			     (long long)limit.rlim_max);
	}
}

static void namespaces(void)
{
	static const char *const names[] = {
		"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64], target[64], key[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s",
			       names[i]);
		(void)snprintf(key, sizeof(key), "ns.%s", names[i]);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		tell(key, "%s", n < 0 ? strerrorname_np(errno) : target);
	}
	tell_file("ns.uid_map", "/proc/self/uid_map");
	tell_file("ns.gid_map", "/proc/self/gid_map");
	tell_file("ns.setgroups", "/proc/self/setgroups");
	tell_file("ns.time_offsets", "/proc/self/timens_offsets");
}

static void scheduling(void)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0)
		tell("sched.attr", "%s", strerrorname_np(errno));
	else
		tell("sched.attr",
		     "policy %u flags %llu nice %d priority %u runtime %llu "
		     "deadline %llu period %llu",
		     attr.sched_policy, (unsigned long long)attr.sched_flags,
		     attr.sched_nice, attr.sched_priority,
		     (unsigned long long)attr.sched_runtime,
		     (unsigned long long)attr.sched_deadline,
		     (unsigned long long)attr.sched_period);
	tell("sched.ioprio", "%#lx", syscall(SYS_ioprio_get, 1, 0));
	tell_file("oom_score_adj", "/proc/self/oom_score_adj");
}

static void flags(void)
{
	int value = 0;

	tell("prctl.securebits", "%#x", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	tell("prctl.keepcaps", "%d", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	tell("prctl.dumpable", "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	tell("prctl.timerslack", "%d", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	(void)prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0);
	tell("prctl.pdeathsig", "%d", value);
	(void)prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0);
	tell("prctl.subreaper", "%d", value);
	tell("personality", "%#x", (unsigned)personality(0xffffffff));
	tell_file("coredump_filter", "/proc/self/coredump_filter");
}

static void names(void)
{
	struct utsname uts;
	char cwd[4096];

	if (uname(&uts) == 0) {
		tell("uts.nodename", "%s", uts.nodename);
		tell("uts.domainname", "%s", uts.domainname);
		tell("uts.machine", "%s", uts.machine);
	}
	tell("cwd", "%s",
	     getcwd(cwd, sizeof(cwd)) ? cwd : strerrorname_np(errno));
}

static void session(void)
{
	struct winsize ws;
	char text[256];
	long n;

	tell("session.sid", "%d", getsid(0));
	tell("session.pgrp", "%d", getpgrp());
	if (ioctl(0, TIOCGWINSZ, &ws) == 0)
		tell("tty.size", "%d %d", ws.ws_row, ws.ws_col);
	for (int fd = 0; fd < 3; fd++) {
		(void)snprintf(text, sizeof(text), "tty.%d", fd);
		tell(text, "%s", isatty(fd) ? ttyname(fd) : "no");
	}
	n = open("/dev/tty", O_RDWR | O_CLOEXEC);
	tell("tty.controlling", "%s", n < 0 ? strerrorname_np(errno) : "yes");
	if (n >= 0)
		close((int)n);
	n = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text,
		    sizeof(text));
	tell("keyring.session", "%s", n < 0 ? strerrorname_np(errno) : text);
}

/* Its own, which must be as few as they can be. */
static void descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *ent;

	while (dir && (ent = readdir(dir))) {
		char key[300];
		struct stat st;
		int fd = atoi(ent->d_name);

		if (ent->d_name[0] == '.' || fd == dirfd(dir) ||
		    fstat(fd, &st) < 0)
			continue;
		(void)snprintf(key, sizeof(key), "fd.%s", ent->d_name);
		tell(key, "type %o flags %o", (unsigned)(st.st_mode & S_IFMT),
		     (unsigned)fcntl(fd, F_GETFL) &
			     (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH));
	}
	if (dir)
		(void)closedir(dir);
}

static void vectors(int argc, char **argv)
{
	char key[32];

	for (int i = 0; i < argc; i++) {
		(void)snprintf(key, sizeof(key), "args.%d", i);
		tell(key, "%s", argv[i]);
	}
	for (int i = 0; environ[i]; i++) {
		(void)snprintf(key, sizeof(key), "env.%d", i);
		tell(key, "%s", environ[i]);
	}
	tell_file("comm", "/proc/self/comm");
}

/* Those that a namespace has for itself. */
static void sysctls(void)
{
	static const char *const list[] = {
		"fs/mqueue/msg_max",
		"fs/mqueue/queues_max",
		"kernel/domainname",
		"kernel/hostname",
		"kernel/msgmax",
		"kernel/msgmnb",
		"kernel/msgmni",
		"kernel/sem",
		"kernel/shm_rmid_forced",
		"kernel/shmall",
		"kernel/shmmax",
		"kernel/shmmni",
		"net/core/somaxconn",
		"net/ipv4/conf/lo/forwarding",
		"net/ipv4/ip_forward",
		"net/ipv4/ip_local_port_range",
		"net/ipv4/ip_unprivileged_port_start",
		"net/ipv4/ping_group_range",
		"net/ipv4/tcp_syncookies",
		"user/max_user_namespaces",
	};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		char path[128], key[128];

		(void)snprintf(path, sizeof(path), "/proc/sys/%s", list[i]);
		(void)snprintf(key, sizeof(key), "sysctl.%s", list[i]);
		tell_file(key, path);
	}
}

/* How much of others is in sight. */
static void processes(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *ent;
	unsigned n = 0;

	while (dir && (ent = readdir(dir)))
		n += atoi(ent->d_name) > 0;
	tell("processes", "%u", n);
	if (dir)
		(void)closedir(dir);
}

static void interfaces(void)
{
	struct if_nameindex *list = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (struct if_nameindex *i = list; i && i->if_name; i++) {
		struct ifreq req = {.ifr_flags = 0};
		char key[64];

		(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s",
			       i->if_name);
		(void)ioctl(fd, SIOCGIFFLAGS, &req);
		(void)snprintf(key, sizeof(key), "net.%s", i->if_name);
		tell(key, "%#x", (unsigned)(unsigned short)req.ifr_flags);
	}
	if (list)
		if_freenameindex(list);
	if (fd >= 0)
		close(fd);
}

void probe_process(int argc, char **argv)
{
	descriptors();
	status();
	limits();
	namespaces();
	scheduling();
	flags();
	names();
	session();
	vectors(argc, argv);
	sysctls();
	processes();
	interfaces();
}

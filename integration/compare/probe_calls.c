/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What system calls return that a filter, or a capability that is not there,
 * stops. Their arguments are such that they do nothing.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "integration/compare/probe.h"

static void result(const char *name, long ret)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "call.%s", name);
	tell(key, "%s", ret < 0 ? strerrorname_np(errno) : "yes");
}

static void by_filter(void)
{
	static const struct {
		const char *name;
		long nr;
		long args[4];
	} calls[] = {
		{"mkdirat", SYS_mkdirat, {-1, 0, 0, 0}},
		{"chmod", SYS_chmod, {0, 0, 0, 0}},
		{"mount", SYS_mount, {0, 0, 0, 0}},
		{"umount2", SYS_umount2, {0, -1, 0, 0}},
		{"unshare", SYS_unshare, {0x10, 0, 0, 0}},
		{"setns", SYS_setns, {-1, 0, 0, 0}},
		{"clone3", SYS_clone3, {0, 0, 0, 0}},
		{"bpf", SYS_bpf, {BPF_PROG_LOAD, 0, 0, 0}},
		{"perf_event_open", SYS_perf_event_open, {0, 0, 0, -1}},
		{"keyctl", SYS_keyctl, {-1, 0, 0, 0}},
		{"add_key", SYS_add_key, {0, 0, 0, 0}},
		{"ptrace", SYS_ptrace, {-1, -1, 0, 0}},
		{"init_module", SYS_init_module, {0, 0, 0, 0}},
		{"kexec_load", SYS_kexec_load, {0, 17, 0, 0}},
		{"reboot", SYS_reboot, {0, 0, 0, 0}},
		{"swapon", SYS_swapon, {0, 0, 0, 0}},
		{"settimeofday", SYS_settimeofday, {1, 0, 0, 0}},
		{"syslog", SYS_syslog, {-1, 0, 0, 0}},
		{"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0, 0}},
		{"userfaultfd", SYS_userfaultfd, {0xffff, 0, 0, 0}},
		{"personality", SYS_personality, {0xffffffff, 0, 0, 0}},
		{"personality-32", SYS_personality, {8, 0, 0, 0}},
		{"getcwd", SYS_getcwd, {0, 0, 0, 0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		result(calls[i].name,
		       syscall(calls[i].nr, calls[i].args[0], calls[i].args[1],
			       calls[i].args[2], calls[i].args[3]));
}

static void sockets(void)
{
	static const struct {
		const char *name;
		int domain, type;
	} kinds[] = {
		{"socket-unix", AF_UNIX, SOCK_STREAM},
		{"socket-inet", AF_INET, SOCK_DGRAM},
		{"socket-raw", AF_INET, SOCK_RAW},
		{"socket-packet", AF_PACKET, SOCK_RAW},
		{"socket-netlink", AF_NETLINK, SOCK_RAW},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int fd = socket(kinds[i].domain, kinds[i].type, 0);

		result(kinds[i].name, fd);
		if (fd >= 0)
			close(fd);
	}
}

void probe_calls(void)
{
	by_filter();
	sockets();
}

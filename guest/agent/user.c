/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* By number, as linux/capability.h has them. */
static const char *const cap_names[] = {
	[CAP_CHOWN] = "CAP_CHOWN",
	[CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
	[CAP_FOWNER] = "CAP_FOWNER",
	[CAP_FSETID] = "CAP_FSETID",
	[CAP_KILL] = "CAP_KILL",
	[CAP_SETGID] = "CAP_SETGID",
	[CAP_SETUID] = "CAP_SETUID",
	[CAP_SETPCAP] = "CAP_SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
	[CAP_NET_ADMIN] = "CAP_NET_ADMIN",
	[CAP_NET_RAW] = "CAP_NET_RAW",
	[CAP_IPC_LOCK] = "CAP_IPC_LOCK",
	[CAP_IPC_OWNER] = "CAP_IPC_OWNER",
	[CAP_SYS_MODULE] = "CAP_SYS_MODULE",
	[CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
	[CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
	[CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
	[CAP_SYS_PACCT] = "CAP_SYS_PACCT",
	[CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
	[CAP_SYS_BOOT] = "CAP_SYS_BOOT",
	[CAP_SYS_NICE] = "CAP_SYS_NICE",
	[CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
	[CAP_SYS_TIME] = "CAP_SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
	[CAP_MKNOD] = "CAP_MKNOD",
	[CAP_LEASE] = "CAP_LEASE",
	[CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
	[CAP_SETFCAP] = "CAP_SETFCAP",
	[CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
	[CAP_SYSLOG] = "CAP_SYSLOG",
	[CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "CAP_AUDIT_READ",
	[CAP_PERFMON] = "CAP_PERFMON",
	[CAP_BPF] = "CAP_BPF",
	[CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

static int parse_cap(const char *name, uint64_t *bit, struct err *err)
{
	for (size_t cap = 0; cap < ARRAY_SIZE(cap_names); cap++) {
		if (strcmp(name, cap_names[cap]) == 0) {
			*bit = 1ULL << cap;
			return 0;
		}
	}
	return err_set(err, EINVAL, "capability %.64s: unknown", name);
}

static int parse_set(char *const *names, size_t n, uint64_t *out,
		     struct err *err)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t bit = 0;
		int ret = parse_cap(names[i], &bit, err);

		if (ret < 0)
			return ret;
		*out |= bit;
	}
	return 0;
}

int cap_sets_parse(const Oci__LinuxCapabilities *c, struct cap_sets *out,
		   struct err *err)
{
	int ret;

	memset(out, 0, sizeof(*out));
	if (!c)
		return 0;
	ret = parse_set(c->bounding, c->n_bounding, &out->bounding, err);
	if (!ret)
		ret = parse_set(c->effective, c->n_effective, &out->effective,
				err);
	if (!ret)
		ret = parse_set(c->inheritable, c->n_inheritable,
				&out->inheritable, err);
	if (!ret)
		ret = parse_set(c->permitted, c->n_permitted, &out->permitted,
				err);
	if (!ret)
		ret = parse_set(c->ambient, c->n_ambient, &out->ambient, err);
	return ret;
}

/* Which capabilities this kernel has. */
static uint64_t kernel_caps(void)
{
	uint64_t all = 0;

	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
			break;
		all |= 1ULL << cap;
	}
	return all;
}

static int drop_bounding(uint64_t keep, uint64_t all, struct err *err)
{
	for (int cap = 0; cap < 64; cap++) {
		if (!(all & (1ULL << cap)) || (keep & (1ULL << cap)))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "capabilities: bounding set");
	}
	return 0;
}

static int set_caps(const struct cap_sets *caps, uint64_t all, struct err *err)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++) {
		unsigned shift = i * 32;

		data[i].effective =
			(uint32_t)((caps->effective & all) >> shift);
		data[i].permitted =
			(uint32_t)((caps->permitted & all) >> shift);
		data[i].inheritable =
			(uint32_t)((caps->inheritable & all) >> shift);
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(err, "capabilities: capset");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "capabilities: ambient set");
	for (int cap = 0; cap < 64; cap++) {
		if (!(caps->ambient & all & (1ULL << cap)))
			continue;
		/* Ambient is a part of permitted and inheritable. */
		if (!(caps->permitted & caps->inheritable & (1ULL << cap)))
			continue;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_sys(err, "capabilities: ambient set");
	}
	return 0;
}

static int set_ids(const Oci__User *user, struct err *err)
{
	uid_t uid = user ? user->uid : 0;
	gid_t gid = user ? user->gid : 0;
	size_t n = user ? user->n_additional_gids : 0;

	/* -1 would mean "leave it alone". */
	if (uid == (uid_t)-1 || gid == (gid_t)-1)
		return err_set(err, EINVAL, "user: id out of range");
	if (setgroups(n, n ? user->additional_gids : NULL) < 0)
		return err_sys(err, "user: setgroups");
	if (setresgid(gid, gid, gid) < 0)
		return err_sys(err, "user: setgid %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_sys(err, "user: setuid %u", uid);
	return 0;
}

int user_become(const Oci__User *user, const struct cap_sets *caps,
		struct err *err)
{
	uint64_t all = kernel_caps();
	int ret = drop_bounding(caps->bounding, all, err);

	if (ret < 0)
		return ret;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(err, "capabilities: PR_SET_KEEPCAPS");
	ret = set_ids(user, err);
	if (!ret)
		ret = set_caps(caps, all, err);
	if (ret < 0)
		return ret;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_sys(err, "capabilities: PR_SET_KEEPCAPS");
	umask(user && user->umask_plus_one
		      ? (mode_t)((user->umask_plus_one - 1) & 0777)
		      : 0022);
	return 0;
}

int user_become_root(struct err *err)
{
	return set_ids(NULL, err);
}

void user_home(const char *passwd, uint32_t uid, char *out, size_t size)
{
	(void)snprintf(out, size, "/");
	for (const char *line = passwd; *line;) {
		const char *end = strchrnul(line, '\n');
		const char *field[7] = {line};
		unsigned n = 1;

		for (const char *p = line; p < end && n < ARRAY_SIZE(field);
		     p++) {
			if (*p == ':')
				field[n++] = p + 1;
		}
		if (n == ARRAY_SIZE(field) && isdigit((uint8_t)field[2][0]) &&
		    strtoul(field[2], NULL, 10) == uid && field[5][0] == '/') {
			size_t len = (size_t)(field[6] - 1 - field[5]);

			if (len < size)
				(void)snprintf(out, size, "%.*s", (int)len,
					       field[5]);
			return;
		}
		line = *end ? end + 1 : end;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_BIT(cap) (1ull << (cap))

static int caps_set(const struct fs_thread *thread, uint64_t effective)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{
			.effective = (uint32_t)effective,
			.permitted = (uint32_t)thread->permitted,
		},
		{
			.effective = (uint32_t)(effective >> 32),
			.permitted = (uint32_t)(thread->permitted >> 32),
		},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

void fs_cred_init(struct fs_thread *thread)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {0};
	uint64_t needed = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID);

	fs_fsetid_restore(thread);
	thread->uid = geteuid();
	thread->gid = getegid();
	if (syscall(SYS_capget, &header, data) == 0) {
		thread->permitted =
			data[0].permitted | (uint64_t)data[1].permitted << 32;
		thread->effective =
			data[0].effective | (uint64_t)data[1].effective << 32;
	}
	thread->can_setid = (thread->effective & needed) == needed;
}

int fs_cred_keep(const struct fs_thread *thread)
{
	if (!thread->can_setid || thread->uid == 0)
		return 0;
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) ? -errno : 0;
}

static int gid_set(gid_t gid)
{
	return syscall(SYS_setresgid, -1, gid, -1) ? -errno : 0;
}

static int uid_set(uid_t uid)
{
	return syscall(SYS_setresuid, -1, uid, -1) ? -errno : 0;
}

static int groups_set(size_t n, const gid_t *groups)
{
	return syscall(SYS_setgroups, n, groups) ? -errno : 0;
}

/* An id that the user namespace does not map: as the kernel says it. */
static int cred_error(int ret)
{
	return ret == -EINVAL ? -EOVERFLOW : ret;
}

/* The guest's root keeps the capabilities with the ids, nobody else does. */
static bool is_itself(const struct fs_req *req)
{
	return req->root && req->in.uid == req->thread->uid;
}

static bool stays(const struct fs_req *req)
{
	return !req->thread->can_setid ||
	       (is_itself(req) && req->in.gid == req->thread->gid);
}

/*
 * The guest's kernel has checked the permissions, with the caller's
 * supplementary groups, which are not known here. So the directory must not be
 * checked again; but CAP_FSETID stays away, unless the guest's root is somebody
 * else here, so that a set-group-ID bit goes as POSIX has it (CVE-2022-0358).
 */
static uint64_t caps_to_create(const struct fs_req *req)
{
	uint64_t keep = CAP_BIT(CAP_DAC_OVERRIDE);

	if (req->root)
		keep |= CAP_BIT(CAP_FSETID);
	return req->thread->effective & keep;
}

int fs_cred_enter(struct fs_req *req)
{
	struct fs_thread *thread = req->thread;
	int ret;

	/* No id, or one that may not be used (FS_ID_FORBIDDEN). */
	if (req->in.uid == (uid_t)-1 || req->in.gid == (gid_t)-1)
		return -EOVERFLOW;
	if (stays(req))
		return 0;
	/* A user namespace may forbid it: then the bit goes. */
	if (req->has_group && groups_set(1, &req->group))
		req->has_group = false;
	ret = gid_set(req->in.gid);
	if (!ret)
		ret = uid_set(req->in.uid);
	if (!ret && !is_itself(req))
		ret = caps_set(thread, caps_to_create(req));
	if (!ret)
		return 0;
	fs_cred_leave(req);
	return cred_error(ret);
}

void fs_cred_leave(struct fs_req *req)
{
	struct fs_thread *thread = req->thread;

	if (stays(req))
		return;
	/* The real and saved ids never changed, and the capabilities stayed
	 * (fs_cred_keep), so this cannot be refused: going on with the wrong
	 * ids would be worse than to end. */
	BUG_ON(uid_set(thread->uid));
	BUG_ON(caps_set(thread, thread->effective));
	BUG_ON(gid_set(thread->gid));
	if (req->has_group)
		BUG_ON(groups_set(0, NULL));
}

int fs_cred_enter_group(struct fs_req *req)
{
	struct fs_thread *thread = req->thread;
	int ret = 0;

	if (thread->can_setid && req->in.gid != (gid_t)-1)
		ret = gid_set(req->in.gid);
	if (ret)
		return cred_error(ret);
	fs_fsetid_drop(thread);
	return 0;
}

void fs_cred_leave_group(struct fs_req *req)
{
	struct fs_thread *thread = req->thread;

	fs_fsetid_restore(thread);
	if (thread->can_setid)
		BUG_ON(gid_set(thread->gid));
}

void fs_fsetid_drop(struct fs_thread *thread)
{
	if (thread->no_fsetid || !(thread->effective & CAP_BIT(CAP_FSETID)))
		return;
	BUG_ON(caps_set(thread, thread->effective & ~CAP_BIT(CAP_FSETID)));
	thread->no_fsetid = true;
}

void fs_fsetid_restore(struct fs_thread *thread)
{
	if (!thread->no_fsetid)
		return;
	BUG_ON(caps_set(thread, thread->effective));
	thread->no_fsetid = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The storages that Kata's two runtimes ask for, one of each kind, spelled as
 * they spell them; and what reaches mount(2). */
#include "guest/agent/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/block.h"
#include "guest/agent/huge_pages.h"
#include "guest/agent/mounts.h"

#define OPTIONS_MAX 8

/* In place of the system's and of the machine's. */
static char last[512];
static gid_t last_group;
static uint64_t last_page, last_pages;
static bool last_place_is_file;

int mount(const char *source, const char *target, const char *type,
	  unsigned long flags, const void *data)
{
	struct stat st;

	(void)snprintf(last, sizeof(last), "%s %s %lx %s",
		       source ? source : "(null)", type ? type : "(null)",
		       flags, data ? (const char *)data : "");
	last_place_is_file = stat(target, &st) == 0 && S_ISREG(st.st_mode);
	return 0;
}

int umount2(const char *target, int flags)
{
	return 0;
}

int chown(const char *path, uid_t owner, gid_t group)
{
	last_group = group;
	return 0;
}

int lchown(const char *path, uid_t owner, gid_t group)
{
	last_group = group;
	return 0;
}

int block_find(const char *source, char path[BLOCK_PATH_MAX], dev_t *dev,
	       struct err *err)
{
	(void)snprintf(path, BLOCK_PATH_MAX, "%s",
		       source[0] == '/' ? source : "/dev/vdx");
	return 0;
}

int huge_pages_add(uint64_t page, uint64_t n, uint64_t *added, struct err *err)
{
	last_page = page;
	last_pages = *added = n;
	return 0;
}

int huge_pages_remove(uint64_t page, uint64_t n, struct err *err)
{
	return 0;
}

static struct evloop *loop;
static struct storages all;
static struct unmounts unmounts;
static char dir[] = "/tmp/test_kata_requests.XXXXXX";

static void done(struct unmounts *u)
{
	evloop_stop(loop);
}

/* What a runtime sends, and what becomes of it. */
struct request {
	const char *driver, *source, *fstype, *place;
	const char *options[OPTIONS_MAX];
	unsigned fs_group;    /* of the message's FSGroup; 0: none */
	const char *mounted;  /* NULL: nothing is mounted */
	unsigned group, mode; /* of the mount point; 0: any */
	unsigned pages;	      /* huge ones */
	bool file;	      /* the mount point */
};

#define SHARED "/run/kata-containers/shared/containers"
#define SANDBOX "/run/kata-containers/sandbox"

static const struct request requests[] = {
	/* CreateSandbox */
	{"virtio-fs",
	 "kataShared",
	 "virtiofs",
	 SHARED "/",
	 {"nodev"},
	 .mounted = "kataShared virtiofs 4 "},
	{"virtio-fs",
	 "kataShared",
	 "virtiofs",
	 SHARED "/",
	 {"nodev", "dax"},
	 .mounted = "kataShared virtiofs 4 dax"},
	{"ephemeral",
	 "shm",
	 "tmpfs",
	 SANDBOX "/shm",
	 {"noexec", "nosuid", "nodev", "mode=1777", "size=67108864"},
	 .mounted = "shm tmpfs e mode=1777,size=67108864"},
	/* emptyDir in memory, without and with fsGroup */
	{"ephemeral",
	 "tmpfs",
	 "tmpfs",
	 SANDBOX "/ephemeral/v",
	 {NULL},
	 .mounted = "tmpfs tmpfs 0 "},
	{"ephemeral",
	 "tmpfs",
	 "tmpfs",
	 SANDBOX "/ephemeral/v",
	 {"fsgid=1000"},
	 .mounted = "tmpfs tmpfs 0 ",
	 .group = 1000,
	 .mode = 02775},
	{"ephemeral",
	 "tmpfs",
	 "tmpfs",
	 SANDBOX "/ephemeral/v",
	 {"size=1048576", "fsgid=4294967294"},
	 .mounted = "tmpfs tmpfs 0 size=1048576",
	 .group = 4294967294u,
	 .mode = 02775},
	/* emptyDir on the guest's disk */
	{"local",
	 "local",
	 "local",
	 SHARED "/s/rootfs/local/v",
	 {"mode=0777"},
	 .mode = 0777},
	{"local",
	 "local",
	 "local",
	 SHARED "/s/rootfs/local/v",
	 {"mode=0777", "fsgid=2000"},
	 .group = 2000,
	 .mode = 02777},
	{"local",
	 "local",
	 "local",
	 SHARED "/s/rootfs/local/v",
	 {"fsgid=2000", "mode=0700"},
	 .group = 2000,
	 .mode = 02770},
	/* huge pages: in one string, and in two */
	{"ephemeral",
	 "nodev",
	 "hugetlbfs",
	 SANDBOX "/ephemeral/h",
	 {"pagesize=2097152,size=8388608"},
	 .mounted = "nodev hugetlbfs 0 pagesize=2097152,size=8388608",
	 .pages = 4},
	{"ephemeral",
	 "nodev",
	 "hugetlbfs",
	 SANDBOX "/ephemeral/h",
	 {"size=8388608", "pagesize=2097152"},
	 .mounted = "nodev hugetlbfs 0 size=8388608,pagesize=2097152",
	 .pages = 4},
	/* a root file system on a device, and volumes */
	{"blk",
	 "02/03",
	 "ext4",
	 SHARED "/c/rootfs",
	 {NULL},
	 .mounted = "/dev/vdx ext4 0 "},
	{"blk",
	 "02/03",
	 "xfs",
	 SHARED "/c/rootfs",
	 {"nouuid"},
	 .mounted = "/dev/vdx xfs 0 nouuid"},
	{"mmioblk",
	 "/dev/vdb",
	 "ext4",
	 SANDBOX "/storage/L2Rldi92ZGI=",
	 {"ro"},
	 .mounted = "/dev/vdb ext4 1 "},
	{"nvdimm",
	 "/dev/pmem1",
	 "ext4",
	 SANDBOX "/storage/pmem",
	 {"dax"},
	 .mounted = "/dev/pmem1 ext4 0 dax"},
	{"blk",
	 "02/03",
	 "ext4",
	 SANDBOX "/storage/v",
	 {"discard", "rw"},
	 .fs_group = 1000,
	 .mounted = "/dev/vdx ext4 0 discard",
	 .group = 1000,
	 .mode = 02775},
	/* a device's node: of vhost-user, and in place of a directory */
	{"blk",
	 "02/03",
	 "bind",
	 SANDBOX "/storage/MDIvMDM=",
	 {"bind"},
	 .mounted = "/dev/vdx bind 1000 ",
	 .file = true},
	{"blk",
	 "02/03",
	 "bind",
	 SHARED "/passthrough/d-xvda",
	 {"ro", "rbind", "ro"},
	 .mounted = "/dev/vdx bind 5001 ",
	 .file = true},
	/* a configMap, whose changes are to be seen */
	{"watchable-bind",
	 "/",
	 "bind",
	 SHARED "/watchable/c-config",
	 {"rbind", "rprivate", "ro"},
	 .mounted = "(null) (null) 44000 "},
	/* Nydus */
	{"overlayfs",
	 "overlay",
	 "overlay",
	 SHARED "/c/rootfs",
	 {"lowerdir=/rafs/a\\,b:/rafs/c", "index=off"},
	 .mounted = "overlay overlay 0 lowerdir=/rafs/a\\,b:/rafs/c,"
		    "index=off"},
};

static void fill(const struct request *r, Agent__Storage *s,
		 Agent__FSGroup *group, char **options)
{
	agent__storage__init(s);
	agent__fsgroup__init(group);
	s->driver = (char *)(uintptr_t)r->driver;
	s->source = (char *)(uintptr_t)r->source;
	s->fstype = (char *)(uintptr_t)r->fstype;
	assert_true(asprintf(&s->mount_point, "%s%s", dir, r->place) > 0);
	for (; s->n_options < OPTIONS_MAX && r->options[s->n_options];
	     s->n_options++)
		options[s->n_options] =
			(char *)(uintptr_t)r->options[s->n_options];
	s->options = options;
	group->group_id = r->fs_group;
	if (r->fs_group)
		s->fs_group = group;
}

static void is_as_wanted(const struct request *r, const char *place)
{
	struct stat st;

	assert_string_equal(last, r->mounted ? r->mounted : "");
	assert_int_equal(last_group, r->group);
	assert_int_equal(last_pages, r->pages);
	assert_int_equal(last_place_is_file, r->file);
	assert_int_equal(stat(place, &st), 0);
	if (r->mode)
		assert_int_equal(st.st_mode & 07777, r->mode);
}

static void serve(const struct request *r)
{
	Agent__Storage s, *list[] = {&s};
	struct storage_mount **first, **second;
	char *options[OPTIONS_MAX];
	Agent__FSGroup group;
	struct err err = {0};

	fill(r, &s, &group, options);
	last[0] = '\0';
	last_group = 0;
	last_pages = 0;
	last_place_is_file = false;
	if (storages_mount(&all, list, 1, &first, &err) < 0)
		fail_msg("%s", err.text);
	is_as_wanted(r, s.mount_point);
	/* A second container shares it. */
	last_group = 0;
	assert_int_equal(storages_mount(&all, list, 1, &second, &err), 0);
	assert_ptr_equal(first[0], second[0]);
	assert_int_equal(last_group, 0);
	storages_unmount(second, &unmounts);
	storages_unmount(first, &unmounts);
	unmounts_run(&unmounts);
	assert_int_equal(evloop_run(loop), 0);
	assert_null(all.first);
	free(s.mount_point);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void all_are_served(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		print_message(
			"%s %s %s\n", requests[i].driver, requests[i].fstype,
			requests[i].options[0] ? requests[i].options[0] : "");
		serve(&requests[i]);
	}
	assert_int_equal(last_page, 2097152);
}

/* 0, or -errno with what is said. */
static int refuse(const struct request *r, const char *driver_option,
		  struct err *err)
{
	char *driver_options[] = {(char *)(uintptr_t)driver_option};
	Agent__Storage s, *list[] = {&s};
	struct storage_mount **taken;
	char *options[OPTIONS_MAX];
	Agent__FSGroup group;
	int ret;

	fill(r, &s, &group, options);
	s.driver_options = driver_options;
	s.n_driver_options = driver_option ? 1 : 0;
	ret = storages_mount(&all, list, 1, &taken, err);
	storages_unmount(taken, &unmounts);
	free(s.mount_point);
	return ret;
}

static void others_are_refused_by_name(void **state)
{
	const struct request r = {.driver = "blk",
				  .source = "02/03",
				  .fstype = "ext4",
				  .place = "/v"};
	struct request bad = {.driver = "local",
			      .source = "local",
			      .fstype = "local",
			      .place = "/v",
			      .options = {"fsgid=-1"}};
	struct err err;

	assert_int_equal(refuse(&r, "create_fs=true", &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "create_fs=true"));
	assert_int_equal(refuse(&bad, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "fsgid=-1"));
	bad.options[0] = "fsgid=";
	assert_int_equal(refuse(&bad, NULL, &err), -EINVAL);
	bad.options[0] = "fsgid=4294967295"; /* would change nothing */
	assert_int_equal(refuse(&bad, NULL, &err), -EINVAL);
}

/* UpdateEphemeralMounts. */
static void new_sizes(void **state)
{
	const struct request r = {
		.driver = "ephemeral",
		.source = "tmpfs",
		.fstype = "tmpfs",
		.place = "/v",
		.options = {"fsgid=1000", "remount", "size=4096"},
	};
	Agent__Storage s, *list[] = {&s};
	struct storage_mount **taken;
	char *options[OPTIONS_MAX];
	Agent__FSGroup group;
	struct err err = {0};

	fill(&r, &s, &group, options);
	s.n_options = 1;
	assert_int_equal(storages_mount(&all, list, 1, &taken, &err), 0);
	last_group = 0;
	last[0] = '\0';
	/* Nothing but the group: it has that. */
	assert_int_equal(storage_remount(&all, &s, &err), 0);
	assert_string_equal(last, "");
	s.n_options = 3;
	assert_int_equal(storage_remount(&all, &s, &err), 0);
	assert_string_equal(last, "tmpfs tmpfs 20 size=4096");
	assert_int_equal(last_group, 0);
	storages_unmount(taken, &unmounts);
	unmounts_run(&unmounts);
	assert_int_equal(evloop_run(loop), 0);
	free(s.mount_point);
}

/* The spec's mounts of such storages: their type is the storage's. */
static void mounts_are_bound(void **state)
{
	static const char *const types[] = {"bind", "local", "ext4", "xfs"};
	char rbind[] = "rbind", rprivate[] = "rprivate", rw[] = "rw";
	char *options[] = {rbind, rprivate, rw};
	Oci__Mount m = OCI__MOUNT__INIT;
	struct mount_options o;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		m.type = (char *)(uintptr_t)types[i];
		assert_int_equal(mount_options_parse(options, 3, &o, &err), 0);
		assert_true(mount_wants_bind(&m, &o));
		assert_int_equal(o.n_propagation, 1);
		assert_string_equal(o.data, "");
	}
}

int main(void)
{
	int ret;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_served),
		cmocka_unit_test(others_are_refused_by_name),
		cmocka_unit_test(new_sizes),
		cmocka_unit_test(mounts_are_bound),
	};

	(void)umask(022);
	loop = evloop_new();
	if (!loop || !mkdtemp(dir))
		return 1;
	unmounts.loop = loop;
	unmounts.done = done;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	evloop_free(loop);
	return remove_tree(AT_FDCWD, dir) < 0 ? 1 : ret;
}

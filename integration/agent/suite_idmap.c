/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of the guest's own with other owners inside than on the storage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define IMAGE "/tmp/idmap.img"
#define VOLUME "/run/kata-containers/sandbox/idmap"

static const char *rootfs;
static struct test_spec s;
static Oci__LinuxIDMapping range;
static Oci__LinuxIDMapping *ranges[] = {&range};

/* Of what is owner 0 on the storage and the next ones. */
static void map_last_mount(uint32_t inside)
{
	Oci__Mount *m = &s.mounts[s.spec.n_mounts - 1];

	oci__linux_idmapping__init(&range);
	range.host_id = inside;
	range.size = 10;
	m->uid_mappings = m->gid_mappings = ranges;
	m->n_uid_mappings = m->n_gid_mappings = 1;
}

/* The container is root of a user namespace. */
static void in_namespace(uint32_t root)
{
	oci__linux_idmapping__init(&range);
	range.host_id = root;
	range.size = 1000;
	spec_namespace(&s, "user");
	s.lin.uid_mappings = s.lin.gid_mappings = ranges;
	s.lin.n_uid_mappings = s.lin.n_gid_mappings = 1;
}

static void script(const char *text)
{
	spec_init(&s, rootfs, "sh", "-c", text, END);
}

/* With one storage or none. */
static void expect(Agent__Storage *storage, const char *name, const char *want)
{
	const char *out = "";

	if (create_with("i1", &s, &storage, storage ? 1 : 0, NULL, 0) ==
		    TTRPC_OK &&
	    start("i1") == TTRPC_OK)
		out = read_all("i1", "", false);
	if (!check(strcmp(out, want) == 0, "%s", name))
		printf("#   %s\n#   got: %s\n#   want: %s\n", call_text, out,
		       want);
	(void)remove_container("i1");
}

static void expect_refusal(const char *name, const char *part)
{
	enum ttrpc_code code = create("i1", &s);

	if (!check(code != TTRPC_OK && strstr(call_text, "mount /m: ") &&
			   strstr(call_text, part),
		   "%s", name))
		printf("#   %d: %s\n", (int)code, call_text);
	if (code == TTRPC_OK)
		(void)remove_container("i1");
}

/* Linux 6.3 and later. */
static bool maps_tmpfs(void)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	(void)uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	return major > 6 || (major == 6 && minor >= 3);
}

static void test_tmpfs(void)
{
	script("stat -c %u:%g:%a /m; touch /m/x 2>&1; grep -c ' /m tmpfs "
	       "rw,nosuid,noatime.*size=1024k' /proc/mounts");
	spec_mount(&s, "tmpfs", "tmpfs", "/m",
		   "nosuid,noatime,size=1m,mode=1777");
	map_last_mount(1000);
	if (!maps_tmpfs()) {
		expect_refusal("id mapping: the kernel has none for tmpfs",
			       "has none for tmpfs");
		return;
	}
	expect(NULL, "id mapping: tmpfs",
	       "1000:1000:1777\n"
	       "touch: /m/x: Value too large for defined data type\n1\n");
	script("stat -c %u:%g /m; touch /m/x; stat -c %u:%g /m/x");
	spec_mount(&s, "tmpfs", "tmpfs", "/m", "idmap");
	in_namespace(100000);
	expect(NULL, "id mapping: tmpfs, that of the container", "0:0\n0:0\n");
	script("ls /m; (touch /m/x) 2>&1 | grep -o Read-only");
	spec_mount(&s, "tmpfs", "tmpfs", "/m", "ro,idmap");
	in_namespace(100000);
	spec_mount(&s, "bind", rootfs, "/m/below", "bind");
	expect(NULL, "id mapping: tmpfs, read-only once it has what is below",
	       "below\nRead-only\n");
}

static void test_refusals(void)
{
	script("true");
	spec_mount(&s, "bind", "/proc", "/m", "rbind,idmap");
	expect_refusal("id mapping: without any",
		       "neither the mount nor the container");
	script("true");
	spec_mount(&s, "bind", "/proc", "/m", "bind");
	map_last_mount(1000);
	expect_refusal("id mapping: a file system that has none",
		       "has none for proc");
	script("true");
	spec_mount(&s, "bind", "/proc", "/m", "bind");
	map_last_mount(1000);
	s.mounts[s.spec.n_mounts - 1].n_gid_mappings = 0;
	expect_refusal("id mapping: of users alone", "0 ranges in gid_map");
	script("true");
	spec_mount(&s, "bind", "/proc", "/m", "bind,idmap=uids=0-1-2");
	expect_refusal("id mapping: as an option", "uidMappings");
	script("true");
	spec_mount(&s, "bind", "/nosuch", "/m", "bind");
	map_last_mount(1000);
	expect_refusal("id mapping: no source", "/nosuch");
}

/* A device with an ext2 file system. */
static bool make_volume(char loop[64])
{
	FILE *f = popen("truncate -s 4M " IMAGE " && mke2fs -q -F " IMAGE
			" > /dev/null 2>&1 && l=$(losetup -f 2> /dev/null) && "
			"losetup $l " IMAGE " 2> /dev/null && echo $l",
			"r");
	bool made = f && fscanf(f, "%63s", loop) == 1;

	return f && pclose(f) == 0 && made;
}

static void test_storage(const char *loop)
{
	Agent__Storage storage = AGENT__STORAGE__INIT;
	char source[64];

	(void)snprintf(source, sizeof(source), "%s", loop);
	storage.driver = strdup("blk");
	storage.source = source;
	storage.fstype = strdup("ext4");
	storage.mount_point = strdup(VOLUME);
	script("stat -c %u:%g /m/lost+found; touch /m/x 2>&1");
	spec_mount(&s, "bind", VOLUME, "/m", "rbind,nosuid");
	map_last_mount(1000);
	expect(&storage, "id mapping: a volume on a block device",
	       "1000:1000\n"
	       "touch: /m/x: Value too large for defined data type\n");
	script("stat -c %u:%g /m/lost+found; touch /m/x; "
	       "stat -c %u:%g /m/x");
	spec_mount(&s, "bind", VOLUME, "/m", "rbind,ridmap");
	in_namespace(100000);
	expect(&storage, "id mapping: the volume's owners are the container's",
	       "0:0\n0:0\n");
	script("stat -c %u:%g /m/x; (echo > /m/x) 2>&1 | grep -o Read-only");
	spec_mount(&s, "ext4", source, "/m", "ro");
	map_last_mount(1000);
	expect(NULL, "id mapping: what was written, in a mount of its own",
	       "1000:1000\nRead-only\n");
}

void test_idmap_suite(const char *root)
{
	char loop[64], detach[96];

	rootfs = root;
	test_tmpfs();
	test_refusals();
	if (make_volume(loop)) {
		test_storage(loop);
		(void)snprintf(detach, sizeof(detach), "losetup -d %s", loop);
		(void)!system(detach);
	} else {
		skip("id mapping of a volume: no loop devices or mke2fs here");
	}
	(void)unlink(IMAGE);
}

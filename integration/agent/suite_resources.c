/* SPDX-License-Identifier: Apache-2.0 */
/* Files, volumes, block devices, what the host plugs, metrics. */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define SHARED "/run/kata-containers/shared/containers"
#define IMAGE "/tmp/volume.img"

static const Agent__Empty empty = AGENT__EMPTY__INIT;
static const char *rootfs;
static char loop[64]; /* a device with a small ext2 or ext4, or "" */

static int shell(const char *command)
{
	return system(command); /* of the test's own */
}

static enum ttrpc_code call_empty(const char *method,
				  const ProtobufCMessage *req)
{
	return call(method, req, &agent__empty__descriptor, NULL);
}

static enum ttrpc_code copy(const char *path, uint32_t mode, int64_t size,
			    int64_t offset, const char *data)
{
	Agent__CopyFileRequest req = AGENT__COPY_FILE_REQUEST__INIT;

	req.path = strdup(path);
	req.file_mode = mode;
	req.dir_mode = 0750;
	req.uid = 1000;
	req.gid = 1001;
	req.file_size = size;
	req.offset = offset;
	req.data.data = (uint8_t *)strdup(data);
	req.data.len = strlen(data);
	return call_empty("CopyFile", &req.base);
}

static bool is(const char *path, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_mode == mode &&
	       st.st_uid == 1000 && st.st_gid == 1001;
}

static void test_copy(void)
{
	struct stat st;

	check(copy(SHARED "/c/d/f", S_IFREG | 0640, 6, 0, "abc") == TTRPC_OK &&
		      access(SHARED "/c/d/f", F_OK) < 0 &&
		      copy(SHARED "/c/d/f", S_IFREG | 0640, 6, 3, "def") ==
			      TTRPC_OK &&
		      is(SHARED "/c/d/f", S_IFREG | 0640) &&
		      stat(SHARED "/c/d", &st) == 0 &&
		      (st.st_mode & 07777) == 0750 &&
		      shell("grep -qx abcdef " SHARED "/c/d/f") == 0,
	      "CopyFile: a file in two pieces");
	check(copy(SHARED "/c/d/f", S_IFREG | 0600, 2, 0, "xy") == TTRPC_OK &&
		      shell("grep -qx xy " SHARED "/c/d/f") == 0,
	      "CopyFile: over a file");
	check(copy(SHARED "/c/none", S_IFREG | 0600, 0, 0, "") == TTRPC_OK &&
		      is(SHARED "/c/none", S_IFREG | 0600),
	      "CopyFile: an empty file");
	check(copy(SHARED "/c/dir", S_IFDIR | 0711, 0, 0, "") == TTRPC_OK &&
		      copy(SHARED "/c/dir", S_IFDIR | 0700, 0, 0, "") ==
			      TTRPC_OK &&
		      is(SHARED "/c/dir", S_IFDIR | 0700),
	      "CopyFile: a directory, twice");
	check(copy(SHARED "/c/..data", S_IFLNK | 0777, 0, 0, "d") == TTRPC_OK &&
		      is(SHARED "/c/..data", S_IFLNK | 0777) &&
		      copy(SHARED "/c/..data/g", S_IFREG | 0600, 1, 0, "g") ==
			      TTRPC_OK &&
		      access(SHARED "/c/d/g", F_OK) == 0 &&
		      copy(SHARED "/c/..data", S_IFLNK | 0777, 0, 0, "e") ==
			      TTRPC_OK,
	      "CopyFile: a symbolic link, and by it");
}

static void test_copy_refused(void)
{
	check(copy("/run/x", S_IFREG | 0600, 1, 0, "x") ==
			      TTRPC_PERMISSION_DENIED &&
		      copy(SHARED "/../x", S_IFREG | 0600, 1, 0, "x") ==
			      TTRPC_PERMISSION_DENIED &&
		      copy(SHARED, S_IFDIR | 0700, 0, 0, "") ==
			      TTRPC_PERMISSION_DENIED,
	      "CopyFile: elsewhere");
	(void)shell("ln -sfn /run " SHARED "/out");
	check(copy(SHARED "/out/x", S_IFREG | 0600, 1, 0, "x") != TTRPC_OK &&
		      access("/run/x", F_OK) < 0,
	      "CopyFile: by a link that leads out");
	check(copy(SHARED "/dev", S_IFCHR | 0600, 0, 0, "") ==
			      TTRPC_INVALID_ARGUMENT &&
		      copy(SHARED "/y", S_IFREG | 0600, 9, 4, "x") ==
			      TTRPC_INVALID_ARGUMENT &&
		      copy(SHARED "/y", S_IFREG | 0600, 2, 0, "xyz") ==
			      TTRPC_INVALID_ARGUMENT &&
		      copy(SHARED "/y", S_IFREG | 0600, -1, 0, "") ==
			      TTRPC_INVALID_ARGUMENT &&
		      copy(SHARED "/c/", S_IFREG | 0600, 1, 0, "x") ==
			      TTRPC_INVALID_ARGUMENT &&
		      copy(SHARED "/l", S_IFLNK | 0777, 0, 0, "") ==
			      TTRPC_INVALID_ARGUMENT,
	      "CopyFile: a device, a gap, too much, no name, no target");
	check(copy(SHARED "/c/d", S_IFREG | 0600, 1, 0, "x") != TTRPC_OK &&
		      copy(SHARED "/c/none/x", S_IFREG | 0600, 1, 0, "x") !=
			      TTRPC_OK,
	      "CopyFile: over a directory, below a file");
	(void)shell("rm -rf " SHARED "/*");
}

static void test_stats(void)
{
	Agent__VolumeStatsRequest req = AGENT__VOLUME_STATS_REQUEST__INIT;
	Agent__VolumeStatsResponse *reply = NULL;
	Agent__ResizeVolumeRequest size = AGENT__RESIZE_VOLUME_REQUEST__INIT;

	req.volume_guest_path = strdup("/run");
	check(call("GetVolumeStats", &req.base,
		   &agent__volume_stats_response__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK &&
		      reply->n_usage == 2 && reply->usage[0]->unit == 1 &&
		      reply->usage[0]->total > 4096 &&
		      reply->usage[0]->used + reply->usage[0]->available ==
			      reply->usage[0]->total &&
		      reply->usage[1]->unit == 2 && reply->usage[1]->used > 1 &&
		      reply->volume_condition &&
		      !reply->volume_condition->abnormal,
	      "GetVolumeStats");
	req.volume_guest_path = strdup("/run/nowhere");
	check(call("GetVolumeStats", &req.base,
		   &agent__volume_stats_response__descriptor,
		   NULL) == TTRPC_NOT_FOUND,
	      "GetVolumeStats: nowhere");
	req.volume_guest_path = strdup("run");
	check(call("GetVolumeStats", &req.base,
		   &agent__volume_stats_response__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "GetVolumeStats: not absolute");
	size.volume_guest_path = strdup("/run");
	size.size = 1u << 30;
	check(call_empty("ResizeVolume", &size.base) == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "cannot be resized"),
	      "ResizeVolume: a tmpfs");
	check(call_empty("RemoveStaleVirtiofsShareMounts", &empty.base) ==
		      TTRPC_OK,
	      "RemoveStaleVirtiofsShareMounts: none");
}

static void test_metrics(void)
{
	Agent__Metrics *reply = NULL;

	check(call("GetMetrics", &empty.base, &agent__metrics__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK &&
		      strstr(reply->metrics, "\nkata_agent_total_rss ") &&
		      strstr(reply->metrics, "\nkata_agent_threads 1\n") &&
		      strstr(reply->metrics,
			     "\nkata_guest_meminfo{item=\"mem_total\"} ") &&
		      strstr(reply->metrics,
			     "{cpu=\"total\",item=\"user\"} ") &&
		      strstr(reply->metrics, "{item=\"load1\"} ") &&
		      strstr(reply->metrics, "{interface=\"lo\",item=") &&
		      strstr(reply->metrics, "kata_agent_scrape_count 1\n"),
	      "GetMetrics");
	check(access("/proc/pressure/memory", R_OK) < 0 ||
		      (reply && strstr(reply->metrics,
				       "{resource=\"memory\",kind=\"some\",")),
	      "GetMetrics: pressure");
}

static void test_hotplug(void)
{
	Agent__OnlineCpuMemRequest cpu = AGENT__ONLINE_CPU_MEM_REQUEST__INIT;
	Agent__MemHotplugByProbeRequest probe =
		AGENT__MEM_HOTPLUG_BY_PROBE_REQUEST__INIT;
	Agent__AddSwapRequest swap = AGENT__ADD_SWAP_REQUEST__INIT;
	Agent__AddSwapPathRequest path = AGENT__ADD_SWAP_PATH_REQUEST__INIT;
	uint32_t hops[] = {300};
	uint64_t address = 1ull << 40;

	cpu.wait = true;
	cpu.nb_cpus = 1;
	probe.addresses = &address;
	probe.n_addresses = 1;
	swap.pci_path = hops;
	swap.n_pci_path = 1;
	path.path = strdup("/etc/passwd");
	if (!getenv("AGENT_IS_INIT")) {
		check(call_empty("OnlineCPUMem", &cpu.base) ==
				      TTRPC_UNIMPLEMENTED &&
			      call_empty("MemHotplugByProbe", &probe.base) ==
				      TTRPC_UNIMPLEMENTED &&
			      call_empty("AddSwap", &swap.base) ==
				      TTRPC_UNIMPLEMENTED &&
			      call_empty("AddSwapPath", &path.base) ==
				      TTRPC_UNIMPLEMENTED,
		      "the machine is not this agent's");
		return;
	}
	check(call_empty("OnlineCPUMem", &cpu.base) == TTRPC_OK,
	      "OnlineCPUMem");
	cpu.nb_cpus = 500;
	check(call_empty("OnlineCPUMem", &cpu.base) ==
			      TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, "processors of 500"),
	      "OnlineCPUMem: more than come");
	cpu.wait = false;
	check(call_empty("OnlineCPUMem", &cpu.base) == TTRPC_OK,
	      "OnlineCPUMem: not waiting");
	check(call_empty("MemHotplugByProbe", &probe.base) != TTRPC_OK,
	      "MemHotplugByProbe: no memory there");
	check(call_empty("AddSwap", &swap.base) == TTRPC_INVALID_ARGUMENT &&
		      call_empty("AddSwapPath", &path.base) ==
			      TTRPC_INVALID_ARGUMENT,
	      "AddSwap: not usable");
}

static void test_ephemeral(void)
{
	Agent__UpdateEphemeralMountsRequest req =
		AGENT__UPDATE_EPHEMERAL_MOUNTS_REQUEST__INIT;
	Agent__Storage storage = AGENT__STORAGE__INIT;
	Agent__Storage *list[] = {&storage};
	char *options[] = {(char *)"size=1m"};
	struct test_spec s;
	char *remount[] = {(char *)"size=2m"};

	storage.driver = strdup("ephemeral");
	storage.source = strdup("tmpfs");
	storage.fstype = strdup("tmpfs");
	storage.mount_point = strdup("/run/kata-containers/sandbox/eph");
	storage.options = options;
	storage.n_options = 1;
	spec_init(&s, rootfs, "true", END);
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_OK,
	      "a container with an ephemeral volume");
	req.storages = list;
	req.n_storages = 1;
	storage.options = remount;
	check(call_empty("UpdateEphemeralMounts", &req.base) == TTRPC_OK &&
		      shell("grep -q 'sandbox/eph tmpfs.*size=2048k' "
			    "/proc/mounts") == 0,
	      "UpdateEphemeralMounts");
	storage.mount_point = strdup("/run");
	check(call_empty("UpdateEphemeralMounts", &req.base) == TTRPC_NOT_FOUND,
	      "UpdateEphemeralMounts: not one of ours");
	storage.driver = strdup("blk");
	check(call_empty("UpdateEphemeralMounts", &req.base) ==
		      TTRPC_UNIMPLEMENTED,
	      "UpdateEphemeralMounts: not ephemeral");
	check(remove_container("v1") == TTRPC_OK &&
		      shell("! grep -q sandbox/eph /proc/mounts") == 0,
	      "remove");
}

/* A directory of the guest's own, which outlives its containers. */
static void test_local(void)
{
	Agent__Storage storage = AGENT__STORAGE__INIT, *list[] = {&storage};
	char *options[] = {(char *)"mode=0750"};
	struct test_spec s;

	(void)shell("rm -rf /run/local");
	storage.driver = strdup("local");
	storage.source = strdup("local");
	storage.fstype = strdup("local");
	storage.mount_point = strdup("/run/local/volume");
	storage.options = options;
	storage.n_options = 1;
	spec_init(&s, rootfs, "sh", "-c",
		  "stat -c %a /vol; cat /vol/x; echo x >> /vol/x", END);
	spec_mount(&s, "bind", storage.mount_point, "/vol", "rbind");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), "750\n") == 0 &&
		      remove_container("v1") == TTRPC_OK,
	      "a directory of the guest as volume");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), "750\nx\n") == 0 &&
		      remove_container("v1") == TTRPC_OK,
	      "the next one finds what is in it");
	options[0] = (char *)"mode=99";
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_INVALID_ARGUMENT,
	      "a mode that is none");
}

/* A loop device with an ext file system: needs what build machines and some
 * guests have. */
static bool make_volume(void)
{
	FILE *f;

	if (shell("rm -f " IMAGE " && dd if=/dev/zero of=" IMAGE
		  " bs=1M count=8 2> /dev/null && mke2fs -q -F " IMAGE
		  " > /dev/null 2>&1 && losetup -f > /tmp/loop 2> /dev/null && "
		  "losetup $(cat /tmp/loop) " IMAGE " 2> /dev/null") != 0)
		return false;
	f = fopen("/tmp/loop", "r");
	if (!f || fscanf(f, "%63s", loop) != 1)
		loop[0] = '\0';
	if (f)
		(void)fclose(f);
	return loop[0] != '\0';
}

static void storage_blk(Agent__Storage *storage, const char *source)
{
	agent__storage__init(storage);
	storage->driver = strdup("blk");
	storage->source = strdup(source);
	storage->fstype = strdup("ext4");
	storage->mount_point = strdup("/run/kata-containers/sandbox/blk");
}

static void test_block_volume(void)
{
	Agent__ResizeVolumeRequest size = AGENT__RESIZE_VOLUME_REQUEST__INIT;
	Agent__Storage storage, *list[] = {&storage};
	Agent__FSGroup group = AGENT__FSGROUP__INIT;
	struct test_spec s;
	struct stat st;

	storage_blk(&storage, loop);
	group.group_id = 4242;
	storage.fs_group = &group;
	spec_init(&s, rootfs, "sh", "-c", "ls /vol; stat -c %g /vol", END);
	spec_mount(&s, "bind", storage.mount_point, "/vol", "rbind");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), "lost+found\n4242\n") ==
			      0,
	      "a block device as volume, for a group");
	check(stat("/run/kata-containers/sandbox/blk/lost+found", &st) == 0 &&
		      st.st_gid == 4242,
	      "fs_group: what is in it");
	size.volume_guest_path = storage.mount_point;
	size.size = 1 << 20;
	check(call_empty("ResizeVolume", &size.base) ==
			      TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "shrink"),
	      "ResizeVolume: smaller");
	size.size = 1ull << 40;
	check(call_empty("ResizeVolume", &size.base) != TTRPC_OK &&
		      strstr(call_text, "its device has"),
	      "ResizeVolume: larger than its device");
	if (shell("grep -q 'CapEff.*[13579bdf]......$' /proc/self/status") !=
	    0) {
		/* ext4_resize_begin asks for it. */
		skip("ResizeVolume: no CAP_SYS_RESOURCE here");
	} else if (shell("truncate -s 16M " IMAGE
			 " && losetup -c $(cat /tmp/loop) "
			 "2> /dev/null") == 0) {
		size.size = 0;
		check(call_empty("ResizeVolume", &size.base) == TTRPC_OK &&
			      shell("[ $(stat -f -c '%b*%S' "
				    "/run/kata-containers/sandbox/blk | "
				    "sed 's/.*/echo $((&))/' | sh) -gt "
				    "12000000 ]") == 0,
		      "ResizeVolume: what its device has");
	} else {
		skip("ResizeVolume: losetup without -c");
	}
	check(remove_container("v1") == TTRPC_OK &&
		      shell("! grep -q sandbox/blk /proc/mounts") == 0,
	      "remove");
}

/* A process that says the number of /dev/xvda, of which the spec has the
 * host's. */
static void spec_xvda(struct test_spec *s, const char *root)
{
	static Oci__LinuxDevice node, *nodes[] = {&node};

	oci__linux_device__init(&node);
	node.path = strdup("/dev/xvda");
	node.type = strdup("b");
	node.major = 240;
	node.minor = 7;
	spec_init(s, root, "sh", "-c", "stat -c '%t:%T' /dev/xvda", END);
	s->lin.devices = nodes;
	s->lin.n_devices = 1;
}

void check_block_device(const char *root, Agent__Device *device,
			const char *node, const char *what)
{
	Agent__Device *devices[] = {device};
	struct test_spec s;
	struct stat st = {0};
	char want[64];

	device->type = strdup("blk");
	device->container_path = strdup("/dev/xvda");
	spec_xvda(&s, root);
	(void)stat(node, &st);
	(void)snprintf(want, sizeof(want), "%x:%x\n", major(st.st_rdev),
		       minor(st.st_rdev));
	check(create_with("v1", &s, NULL, 0, devices, 1) == TTRPC_OK &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), want) == 0,
	      "%s", what);
	check(remove_container("v1") == TTRPC_OK, "remove");
}

static void test_block_device(void)
{
	Agent__Device device = AGENT__DEVICE__INIT, *devices[] = {&device};
	struct test_spec s;

	device.vm_path = strdup(loop);
	check_block_device(rootfs, &device, loop,
			   "a block device in a container, by the guest's "
			   "number");
	spec_xvda(&s, rootfs);
	device.container_path = strdup("/dev/other");
	check(create_with("v1", &s, NULL, 0, devices, 1) ==
			      TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "not in the spec"),
	      "a device that the spec has not");
}

static void test_devices_refused(void)
{
	Agent__Device device = AGENT__DEVICE__INIT, *devices[] = {&device};
	Agent__Storage storage, *list[] = {&storage};
	struct timespec from, to;
	struct test_spec s;

	spec_init(&s, rootfs, "true", END);
	device.type = strdup("vfio-pci");
	device.id = strdup("02");
	check(create_with("v1", &s, NULL, 0, devices, 1) ==
			      TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "vfio-pci"),
	      "a device type that is not there");
	device.type = strdup("blk");
	device.id = strdup("nonsense");
	check(create_with("v1", &s, NULL, 0, devices, 1) ==
		      TTRPC_INVALID_ARGUMENT,
	      "not a PCI path");
	storage_blk(&storage, "1f/1e");
	clock_gettime(CLOCK_MONOTONIC, &from);
	check(create_with("v1", &s, list, 1, NULL, 0) ==
			      TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, "1f/1e"),
	      "a device that does not come");
	clock_gettime(CLOCK_MONOTONIC, &to);
	check(to.tv_sec - from.tv_sec >= 2 && to.tv_sec - from.tv_sec < 20,
	      "it was waited for");
	storage_blk(&storage, "/dev/null");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_INVALID_ARGUMENT,
	      "not a block device");
}

/* A device that comes while its container is being created. */
static void test_uevent(void)
{
	Agent__Device device = AGENT__DEVICE__INIT, *devices[] = {&device};
	struct test_spec s;
	pid_t pid;
	int fd;

	if (access("/dev/loop-control", W_OK) < 0 ||
	    access("/dev/loop117", F_OK) == 0) {
		skip("uevents: no loop devices here");
		return;
	}
	spec_init(&s, rootfs, "true", END);
	device.type = strdup("mmioblk");
	device.vm_path = strdup("/dev/loop117");
	pid = fork();
	if (pid == 0) {
		fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
		usleep(300000); /* the call is under way */
		/* Where /dev is not the kernel's. */
		(void)mknod("/dev/loop117", S_IFBLK | 0600, makedev(7, 117));
		(void)!ioctl(fd, LOOP_CTL_ADD, 117);
		_exit(0);
	}
	check(create_with("v1", &s, NULL, 0, devices, 1) == TTRPC_OK,
	      "a device that comes late");
	(void)waitpid(pid, NULL, 0);
	check(remove_container("v1") == TTRPC_OK, "remove");
	(void)shell("rm -f /dev/loop117");
	/* Or it is the next free one, without a node. */
	fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	(void)!ioctl(fd, LOOP_CTL_REMOVE, 117);
	close(fd);
}

static void test_overlay(void)
{
	Agent__Storage storage = AGENT__STORAGE__INIT, *list[] = {&storage};
	char *options[] = {(char *)"lowerdir=/run/o/a:/run/o/b",
			   (char *)"upperdir=/run/o/up/u",
			   (char *)"workdir=/run/o/up/w"};
	struct test_spec s;

	(void)shell("mkdir -p /run/o/a /run/o/b && echo 1 > /run/o/a/1 && "
		    "echo 2 > /run/o/b/2");
	storage.driver = strdup("overlayfs");
	storage.source = strdup("overlay");
	storage.fstype = strdup("overlay");
	storage.mount_point = strdup("/run/kata-containers/sandbox/over");
	storage.options = options;
	storage.n_options = 3;
	spec_init(&s, rootfs, "sh", "-c", "cat /vol/1 /vol/2; echo 3 > /vol/3",
		  END);
	spec_mount(&s, "bind", storage.mount_point, "/vol", "rbind");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), "1\n2\n") == 0 &&
		      shell("grep -qx 3 /run/o/up/u/3") == 0,
	      "an overlay as volume");
	check(remove_container("v1") == TTRPC_OK, "remove");
	storage.n_options = 0;
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_INVALID_ARGUMENT,
	      "an overlay of nothing");
}

/* As Kata's runtimes ask for ConfigMaps: a directory, and a single file. */
static void test_watchable(void)
{
	static const char top[] = "/run/kata-containers/watchable";
	Agent__Storage storages[2], *list[] = {&storages[0], &storages[1]};
	char *options[] = {(char *)"rbind", (char *)"rprivate", (char *)"ro"};
	struct test_spec s;

	(void)shell("mkdir -p /run/w && echo 1 > /run/w/key");
	for (size_t i = 0; i < ARRAY_SIZE(storages); i++) {
		agent__storage__init(&storages[i]);
		storages[i].driver = strdup("watchable-bind");
		storages[i].fstype = strdup("bind");
		storages[i].source = strdup(i ? "/run/w/key" : "/run/w");
		storages[i].options = options;
		storages[i].n_options = ARRAY_SIZE(options);
		if (asprintf(&storages[i].mount_point, "%s/%zu", top, i) < 0)
			abort();
	}
	spec_init(&s, rootfs, "sh", "-c",
		  "cat /vol/key /file; echo 3 > /vol/key", END);
	spec_mount(&s, "bind", storages[0].mount_point, "/vol", "rbind");
	spec_mount(&s, "bind", storages[1].mount_point, "/file", "bind");
	check(create_with("v1", &s, list, 2, NULL, 0) == TTRPC_OK &&
		      shell("echo 2 > /run/w/key") == 0 &&
		      start("v1") == TTRPC_OK &&
		      strcmp(read_all("v1", "", false), "2\n2\n") == 0,
	      "watchable storages show what is there now, read-only");
	check(remove_container("v1") == TTRPC_OK &&
		      shell("[ -z \"$(ls /run/kata-containers/watchable)\" "
			    "]") == 0,
	      "and leave nothing behind");
	storages[0].source = strdup("/run/none");
	check(create_with("v1", &s, list, 1, NULL, 0) == TTRPC_NOT_FOUND,
	      "a watchable storage without a source");
}

void test_resources_suite(const char *root)
{
	rootfs = root;
	test_copy();
	test_copy_refused();
	test_stats();
	test_metrics();
	test_hotplug();
	test_ephemeral();
	test_local();
	test_devices_refused();
	test_uevent();
	test_overlay();
	test_watchable();
	if (make_volume()) {
		test_block_volume();
		test_block_device();
		(void)shell("losetup -d $(cat /tmp/loop)");
	} else {
		skip("block volumes: no loop device here");
	}
}

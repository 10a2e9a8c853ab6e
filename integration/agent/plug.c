/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plug ADDRESS MONITOR ROOTFS SERVER: an agent in a machine of QEMU's that is
 * asked for hardware which is plugged only then, and unplugged. ADDRESS: as of
 * client_connect. ROOTFS: of the guest, with busybox. The machine has root
 * ports rp4 to rp9 in those slots, and blocks `disk` (ext4 with /file), `swap`
 * and `more` of it; `disk` is in the throttle group `slow`. It has the
 * virtio-fs `stays`, and could have `gone` by the character device of that
 * name, both with /file, and with a submount that has /sub/file. SERVER: the
 * process id of who serves the former.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/agent/calls.h"
#include "integration/agent/client.h"
#include "integration/agent/plug.h"
#include "integration/agent/qmp.h"

#define MIB (1u << 20)
#define THROTTLE(limit)                                                   \
	"{\"execute\": \"qom-set\", \"arguments\": {\"path\": \"slow\", " \
	"\"property\": \"limits\", \"value\": {\"iops-total\": " limit "}}}\n"

const char *rootfs;

bool waits(const struct waiting *w)
{
	Agent__CheckRequest any = AGENT__CHECK_REQUEST__INIT;
	struct waiting next;

	call_begin(&next, "grpc.Health", "Check", &any.base);
	return call_finish(&next) == TTRPC_OK && !w->done;
}

void ask(struct waiting *w, const char *method, const ProtobufCMessage *req)
{
	call_begin(w, "grpc.AgentService", method, req);
	check(waits(w), "%s: waits", method);
}

/* What a command in a container that runs all the time says. */
static const char *say(const char *command)
{
	struct test_spec x;
	const char *out;
	int status = -1;

	spec_init(&x, rootfs, "sh", "-c", command, END);
	if (exec_process("w", "e", &x) != TTRPC_OK)
		return "";
	out = read_all("w", "e", false);
	return wait_process("w", "e", &status) == TTRPC_OK ? out : "";
}

bool same(const char *out, const char *want)
{
	if (strcmp(out, want) == 0)
		return true;
	printf("# it says: %s\n", out);
	return false;
}

bool says(const char *command, const char *want)
{
	return same(say(command), want);
}

bool prints(const char *id, const char *want)
{
	return same(read_all(id, "", false), want);
}

/* Of a module with one parameter, which is refused with that text. */
static void refuse_module(const char *name, char *parameter, const char *text)
{
	Agent__CreateSandboxRequest req = AGENT__CREATE_SANDBOX_REQUEST__INIT;
	Agent__KernelModule module = AGENT__KERNEL_MODULE__INIT;
	Agent__KernelModule *list[] = {&module};

	module.name = strdup(name);
	module.parameters = &parameter;
	module.n_parameters = 1;
	req.sandbox_id = strdup("plug");
	req.kernel_modules = list;
	req.n_kernel_modules = 1;
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) != TTRPC_OK &&
		      strstr(call_text, text),
	      "CreateSandbox: %s", text);
}

static void set_up(void)
{
	static const char *const names[] = {
		"libnvdimm", "nd_btt",	    "nd_pmem",
		"nd_virtio", "virtio_pmem", "brd", /* the last one */
	};
	static char *disks[] = {(char *)"rd_nr=2", (char *)"rd_size=1024"};
	char parameters[1100];
	Agent__CreateSandboxRequest req = AGENT__CREATE_SANDBOX_REQUEST__INIT;
	Agent__KernelModule modules[ARRAY_SIZE(names)];
	Agent__KernelModule *list[ARRAY_SIZE(names)];
	struct test_spec s;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		agent__kernel_module__init(&modules[i]);
		modules[i].name = strdup(names[i]);
		list[i] = &modules[i];
	}
	modules[ARRAY_SIZE(names) - 1].parameters = disks;
	modules[ARRAY_SIZE(names) - 1].n_parameters = ARRAY_SIZE(disks);
	memset(parameters, 'x', sizeof(parameters) - 1);
	parameters[sizeof(parameters) - 1] = '\0';
	refuse_module("brd", parameters, "module brd: too many parameters");
	refuse_module("nowhere", disks[0], "module nowhere: No such file");
	refuse_module("brd", (char *)"rd_nr=many", "module brd: Invalid");
	req.sandbox_id = strdup("plug");
	req.kernel_modules = list;
	req.n_kernel_modules = ARRAY_SIZE(names);
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "CreateSandbox: modules of the kernel");
	spec_init(&s, rootfs, "sleep", "100000", END);
	spec_mount(&s, "sysfs", "sysfs", "/sys", "ro");
	check(create("w", &s) == TTRPC_OK && start("w") == TTRPC_OK,
	      "a container that looks on");
	check(says("cat /sys/module/virtio_pmem/initstate", "live\n"),
	      "CreateSandbox: they are loaded");
	check(says("cd /sys/block; ls -d ram*; cat ram1/size",
		   "ram0\nram1\n2048\n"),
	      "CreateSandbox: with their parameters");
}

void init_create(Agent__CreateContainerRequest *req, struct test_spec *s,
		 const char *id)
{
	agent__create_container_request__init(req);
	req->container_id = strdup(id);
	req->oci = &s->spec;
}

void init_storage(Agent__Storage *s, const char *driver, const char *source)
{
	agent__storage__init(s);
	s->driver = strdup(driver);
	s->source = strdup(source);
	s->fstype = strdup("ext4");
	s->mount_point = strdup("/run/kata-containers/sandbox/volume");
}

struct volume {
	const char *driver, *source;
	char *option;	    /* NULL: none */
	const char *script; /* sees it at /vol */
	bool admin;	    /* with CAP_SYS_ADMIN */
};

/* Asks for a container with a volume whose device is to come. */
static void ask_volume(struct waiting *w, const struct volume *v)
{
	Agent__CreateContainerRequest req;
	Agent__Storage storage, *list[] = {&storage};
	char *options[] = {v->option};
	static char *caps[] = {(char *)"CAP_SYS_ADMIN"};
	struct test_spec s;

	spec_init(&s, rootfs, "sh", "-c", v->script, END);
	if (v->admin) {
		s.process.capabilities = &s.caps;
		s.caps.bounding = s.caps.permitted = s.caps.effective = caps;
		s.caps.n_bounding = s.caps.n_permitted = 1;
		s.caps.n_effective = 1;
	}
	spec_mount(&s, "bind", "/run/kata-containers/sandbox/volume", "/vol",
		   "rbind");
	init_create(&req, &s, "d");
	init_storage(&storage, v->driver, v->source);
	storage.options = options;
	storage.n_options = v->option ? 1 : 0;
	req.storages = list;
	req.n_storages = 1;
	ask(w, "CreateContainer", &req.base);
}

static Agent__CgroupStats *statistics(const char *id)
{
	Agent__ContainerRequest req = AGENT__CONTAINER_REQUEST__INIT;
	Agent__StatsContainerResponse *reply = NULL;

	req.container_id = strdup(id);
	if (call("StatsContainer", &req.base,
		 &agent__stats_container_response__descriptor,
		 (ProtobufCMessage **)&reply) != TTRPC_OK)
		return NULL;
	return reply->cgroup_stats;
}

/* Of the first disk (major 254: Linux' virtio-blk): so much, or at most half
 * of that more. */
static bool counted(Agent__BlkioStatsEntry *const *list, size_t n,
		    const char *op, uint64_t least)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = list[i]->value;

		if (list[i]->major != 254 || strcmp(list[i]->op, op) != 0)
			continue;
		printf("# %s: %llu\n", op, (unsigned long long)value);
		return value >= least && value <= least + least / 2;
	}
	return false;
}

static void counts_blocks(void)
{
	const Agent__CgroupStats *stats = statistics("d");
	const Agent__BlkioStats *b = stats ? stats->blkio_stats : NULL;
	Agent__BlkioStatsEntry *const *bytes, *const *ios;
	size_t n;

	check(b && b->n_io_serviced_recursive ==
			      b->n_io_service_bytes_recursive,
	      "its disk is counted");
	if (!b)
		return;
	bytes = b->io_service_bytes_recursive;
	ios = b->io_serviced_recursive;
	n = b->n_io_serviced_recursive;
	check(counted(bytes, n, "Write", 4 * MIB) &&
		      counted(bytes, n, "Read", 2 * MIB),
	      "the bytes that it wrote and read");
	check(counted(ios, n, "Write", 64) && counted(ios, n, "Read", 32),
	      "and how often");
	/* What is free of 8 MiB, without the journal and the file. */
	check(counted(bytes, n, "Discard", MIB), "and what it trimmed");
}

/* What unmounting it writes is under way when the call has been taken. */
static void remove_from_slow_disk(void)
{
	Agent__RemoveContainerRequest req =
		AGENT__REMOVE_CONTAINER_REQUEST__INIT;
	struct waiting w;

	req.container_id = strdup("d");
	check(qmp(THROTTLE("1")), "the disk takes a second for anything");
	ask(&w, "RemoveContainer", &req.base);
	check(says("echo more", "more\n") && waits(&w),
	      "what is to be written to it holds up nobody");
	check(qmp(THROTTLE("0")) && call_finish(&w) == TTRPC_OK, "remove");
}

static void test_disk(void)
{
	const struct volume volume = {
		.driver = "blk",
		.source = "04/00",
		.script = "cat /vol/file && echo more > /vol/file; "
			  "for i in 1 2; do dd if=/dev/zero of=/vol/big "
			  "bs=64k count=32 oflag=direct 2> /dev/null; done; "
			  "dd if=/vol/big of=/dev/null bs=64k iflag=direct "
			  "2> /dev/null; fstrim /vol; echo > /vol/new; "
			  "exec >&-; read x",
		.admin = true,
	};
	struct waiting w;

	ask_volume(&w, &volume);
	check(qmp(PLUG("\"driver\": \"virtio-blk-pci\", \"bus\": \"rp4\", "
		       "\"drive\": \"disk\", \"id\": \"d4\"")),
	      "a disk is plugged");
	check(call_finish(&w) == TTRPC_OK && start("d") == TTRPC_OK &&
		      prints("d", "text\n"),
	      "its file system is the container's volume");
	counts_blocks();
	remove_from_slow_disk();
	check(qmp(UNPLUG("d4")) && qmp_event("DEVICE_DELETED", "\"d4\"") &&
		      says("ls /sys/block | grep -c vd", "0\n"),
	      "the disk is unplugged");
}

/* The same disk, elsewhere, and as a device. */
static void test_device(void)
{
	Agent__CreateContainerRequest req;
	Agent__Device device = AGENT__DEVICE__INIT, *list[] = {&device};
	Oci__LinuxDevice node = OCI__LINUX_DEVICE__INIT, *nodes[] = {&node};
	Oci__LinuxDeviceCgroup rule = OCI__LINUX_DEVICE_CGROUP__INIT;
	Oci__LinuxDeviceCgroup *rules[] = {&rule};
	struct test_spec s;
	struct waiting w;

	spec_init(&s, rootfs, "sh", "-c",
		  "tr -d '\\0' < /dev/xvda | grep -c more; "
		  "stat -c %t:%T /dev/xvda",
		  END);
	node.path = strdup("/dev/xvda");
	node.type = strdup("b");
	node.major = 8; /* the host's */
	s.lin.devices = nodes;
	s.lin.n_devices = 1;
	rule.allow = true;
	rule.type = strdup("b");
	rule.major = 8;
	rule.access = strdup("r");
	s.lin.resources = &s.resources;
	s.resources.devices = rules;
	s.resources.n_devices = 1;
	init_create(&req, &s, "d");
	device.id = strdup("05/00");
	device.type = strdup("blk");
	device.container_path = strdup("/dev/xvda");
	req.devices = list;
	req.n_devices = 1;
	ask(&w, "CreateContainer", &req.base);
	check(qmp(PLUG("\"driver\": \"virtio-blk-pci\", \"bus\": \"rp5\", "
		       "\"drive\": \"disk\", \"id\": \"d5\"")),
	      "it is plugged elsewhere");
	check(call_finish(&w) == TTRPC_OK && start("d") == TTRPC_OK &&
		      prints("d", "1\nfe:0\n"),
	      "it is the container's device, with what was written to it");
	check(remove_container("d") == TTRPC_OK, "remove");
}

static void test_swap(void)
{
	Agent__AddSwapRequest req = AGENT__ADD_SWAP_REQUEST__INIT;
	Agent__AddSwapPathRequest path = AGENT__ADD_SWAP_PATH_REQUEST__INIT;
	uint32_t hops[] = {4, 0};
	struct waiting w;

	req.pci_path = hops;
	req.n_pci_path = 2;
	ask(&w, "AddSwap", &req.base);
	check(qmp(PLUG("\"driver\": \"virtio-blk-pci\", \"bus\": \"rp4\", "
		       "\"drive\": \"swap\", \"id\": \"d4\"")),
	      "a disk for swap is plugged");
	check(call_finish(&w) == TTRPC_OK &&
		      says("grep -c ^/dev/vd /proc/swaps", "1\n"),
	      "it is in use");
	path.path = strdup("/dev/vdc");
	ask(&w, "AddSwapPath", &path.base);
	check(qmp(PLUG("\"driver\": \"virtio-blk-pci\", \"bus\": \"rp8\", "
		       "\"drive\": \"more\", \"id\": \"d8\"")),
	      "another one");
	check(call_finish(&w) == TTRPC_OK &&
		      says("grep -c ^/dev/vd /proc/swaps", "2\n"),
	      "it is in use, too");
	check(call("AddSwapPath", &path.base, &agent__empty__descriptor,
		   NULL) != TTRPC_OK,
	      "but not twice");
}

static void test_network(void)
{
	Agent__UpdateInterfaceRequest req =
		AGENT__UPDATE_INTERFACE_REQUEST__INIT;
	Agent__Interface in = AGENT__INTERFACE__INIT;
	Agent__IPAddress address = AGENT__IPADDRESS__INIT, *list[] = {&address};
	struct waiting w;

	in.hw_addr = strdup("52:54:00:00:00:06");
	in.name = strdup("eth6");
	in.device_path = strdup("nonsense");
	address.address = strdup("192.0.2.6");
	address.mask = strdup("24");
	in.ip_addresses = list;
	in.n_ip_addresses = 1;
	req.interface = &in;
	check(call("UpdateInterface", &req.base, &agent__interface__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "an interface at no PCI path");
	in.device_path = strdup("06/00");
	ask(&w, "UpdateInterface", &req.base);
	check(qmp(PLUG("\"driver\": \"virtio-net-pci\", \"bus\": \"rp6\", "
		       "\"netdev\": \"net\", \"id\": \"n6\", "
		       "\"mac\": \"52:54:00:00:00:06\"")),
	      "an interface is plugged");
	check(call_finish(&w) == TTRPC_OK &&
		      says("ip addr show eth6 | grep -c 192.0.2.6/24", "1\n"),
	      "it has its name and address");
	check(qmp(UNPLUG("n6")) && qmp_event("DEVICE_DELETED", "\"n6\"") &&
		      says("ls /sys/class/net", "lo\n"),
	      "it is unplugged");
}

/* Plugged only: QEMU 7.2 ends by a signal when TCG loses a processor. */
static void test_cpu(void)
{
	Agent__OnlineCpuMemRequest req = AGENT__ONLINE_CPU_MEM_REQUEST__INIT;
	struct waiting w;

	req.wait = true;
	req.nb_cpus = 2;
	req.cpu_only = true;
	ask(&w, "OnlineCPUMem", &req.base);
	check(qmp(PLUG("\"driver\": \"max-x86_64-cpu\", \"id\": \"c1\", "
		       "\"socket-id\": 1, \"core-id\": 0, \"thread-id\": 0")),
	      "a processor is plugged");
	check(call_finish(&w) == TTRPC_OK && says("nproc", "2\n"),
	      "it is online, in a container that runs");
}

static long memory(void)
{
	return atol(say("awk '/^MemTotal/ { print $2 }' /proc/meminfo"));
}

/* The kernel tells the machine when it has found it. */
static void test_memory(void)
{
	Agent__OnlineCpuMemRequest req = AGENT__ONLINE_CPU_MEM_REQUEST__INIT;
	long had = memory();

	check(qmp("{\"execute\": \"object-add\", \"arguments\": {"
		  "\"qom-type\": \"memory-backend-memfd\", \"id\": \"m\", "
		  "\"share\": true, \"size\": %u}}\n",
		  256 * MIB) &&
		      qmp(PLUG("\"driver\": \"pc-dimm\", \"id\": \"dimm\", "
			       "\"memdev\": \"m\"")) &&
		      qmp_event("ACPI_DEVICE_OST", "\"status\": 0"),
	      "memory is plugged");
	check(memory() == had, "it is offline");
	check(call("OnlineCPUMem", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      memory() == had + 256 * 1024,
	      "and then there is more");
}

static void test_pmem(void)
{
	const struct volume volume = {
		.driver = "nvdimm",
		.source = "/dev/pmem0",
		.option = (char *)"dax",
		.script = "cat /vol/file; "
			  "grep -c ' /vol .*dax' /proc/mounts",
	};
	struct waiting w;

	ask_volume(&w, &volume);
	check(qmp(PLUG("\"driver\": \"virtio-pmem-pci\", \"bus\": \"rp7\", "
		       "\"memdev\": \"pmem\", \"id\": \"p7\"")),
	      "persistent memory is plugged");
	check(call_finish(&w) == TTRPC_OK && start("d") == TTRPC_OK &&
		      prints("d", "text\n1\n"),
	      "its file system is the container's volume, by DAX");
	check(remove_container("d") == TTRPC_OK, "remove");
}

static bool counts_huge_pages(void)
{
	const Agent__CgroupStats *stats = statistics("d");
	bool found = false;

	if (!stats)
		return false;
	for (size_t i = 0; i < stats->n_hugetlb_stats; i++)
		found |= strcmp(stats->hugetlb_stats[i]->key, "2MB") == 0 &&
			 stats->hugetlb_stats[i]->value &&
			 stats->hugetlb_stats[i]->value->usage == 2 * MIB;
	return found;
}

static void test_hugepages(void)
{
	Agent__Storage storage, *list[] = {&storage};
	char *options[] = {(char *)"pagesize=2M", (char *)"size=8M"};
	struct test_spec s;

	spec_init(&s, rootfs, "sh", "-c",
		  "fallocate -l 2M /vol/page; "
		  "grep -c ' /vol hugetlbfs .*pagesize=2M' /proc/mounts; "
		  "awk '/^HugePages_Total/ { print $2 }' /proc/meminfo; "
		  "exec >&-; read x",
		  END);
	spec_mount(&s, "bind", "/run/kata-containers/sandbox/volume", "/vol",
		   "rbind");
	init_storage(&storage, "ephemeral", "nodev");
	storage.fstype = strdup("hugetlbfs");
	storage.options = options;
	storage.n_options = 2;
	check(create_with("d", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("d") == TTRPC_OK && prints("d", "1\n4\n"),
	      "huge pages as volume");
	check(counts_huge_pages(), "they are counted");
	check(remove_container("d") == TTRPC_OK &&
		      says("awk '/^HugePages_Total/ { print $2 }' "
			   "/proc/meminfo",
			   "0\n"),
	      "they come back");
	options[1] = (char *)"size=64G";
	check(create_with("d", &s, list, 1, NULL, 0) != TTRPC_OK &&
		      strstr(call_text, "of 32768") &&
		      says("awk '/^HugePages_Total/ { print $2 }' "
			   "/proc/meminfo",
			   "0\n"),
	      "more than there are, of which none stay");
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		(void)fprintf(stderr,
			      "usage: plug ADDRESS MONITOR ROOTFS SERVER\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	client_connect(argv[1]);
	qmp_connect(argv[2]);
	rootfs = argv[3];
	calls_open();
	set_up();
	test_disk();
	test_device();
	test_swap();
	test_network();
	test_cpu();
	test_memory();
	test_pmem();
	test_hugepages();
	test_shares((pid_t)atoi(argv[4]));
	calls_close();
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed != 0;
}

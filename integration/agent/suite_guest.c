/* SPDX-License-Identifier: Apache-2.0 */
/* The guest as a whole: network, details, shared pid namespace, its end. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define DESCRIPTORS "nacre_agent_descriptors"

#define NOARP 0x80 /* IFF_NOARP */
#define ONLINK 4   /* RTNH_F_ONLINK */
#define PROXY 8	   /* NTF_PROXY */

static const Agent__Empty empty = AGENT__EMPTY__INIT;

static int shell(const char *command)
{
	return system(command); /* of the test's own */
}

/* A gateway that no network leads to: it is on the link. */
static void test_onlink(void)
{
	Agent__UpdateRoutesRequest req = AGENT__UPDATE_ROUTES_REQUEST__INIT;
	Agent__Routes list = AGENT__ROUTES__INIT, *back = NULL;
	Agent__Route route = AGENT__ROUTE__INIT, *items[] = {&route};
	bool found = false;

	route.dest = strdup("198.51.100.0/24");
	route.gateway = strdup("203.0.113.1");
	route.device = strdup("eth7");
	list.routes = items;
	list.n_routes = 1;
	req.routes = &list;
	check(call("UpdateRoutes", &req.base, &agent__routes__descriptor,
		   NULL) != TTRPC_OK,
	      "UpdateRoutes: by a gateway that is nowhere");
	route.flags = ONLINK;
	check(call("UpdateRoutes", &req.base, &agent__routes__descriptor,
		   (ProtobufCMessage **)&back) == TTRPC_OK &&
		      shell("ip route | grep -q '^198.51.100.0/24 via "
			    "203.0.113.1 dev eth7 .*onlink'") == 0,
	      "UpdateRoutes: by a gateway on the link");
	for (size_t i = 0; back && i < back->n_routes; i++)
		found |= strcmp(back->routes[i]->gateway, route.gateway) == 0 &&
			 back->routes[i]->flags == ONLINK;
	check(found, "UpdateRoutes: and its flags are told");
}

static void test_routes(void)
{
	Agent__UpdateRoutesRequest routes = AGENT__UPDATE_ROUTES_REQUEST__INIT;
	Agent__Routes list = AGENT__ROUTES__INIT;
	Agent__Route r1 = AGENT__ROUTE__INIT, r2 = AGENT__ROUTE__INIT;
	Agent__Route *items[] = {&r1, &r2};
	Agent__Interfaces *got = NULL;
	Agent__Routes *back = NULL;

	r1.gateway = strdup("192.0.2.1");
	r1.device = strdup("eth7");
	r2.dest = strdup("198.51.100.0/24");
	r2.device = strdup("eth7");
	r2.scope = 253;
	list.routes = items;
	list.n_routes = 2;
	routes.routes = &list;
	for (int i = 0; i < 2; i++)
		check(call("UpdateRoutes", &routes.base,
			   &agent__routes__descriptor,
			   (ProtobufCMessage **)&back) == TTRPC_OK &&
			      back->n_routes >= 3,
		      "UpdateRoutes");
	check(shell("ip route | grep -q 'default via 192.0.2.1 dev eth7' && "
		    "ip route | grep -q 198.51.100.0/24") == 0,
	      "the routes are as asked");
	check(call("ListRoutes", &empty.base, &agent__routes__descriptor,
		   (ProtobufCMessage **)&back) == TTRPC_OK &&
		      back->n_routes >= 3,
	      "ListRoutes");
	r2.dest = strdup("nonsense");
	check(call("UpdateRoutes", &routes.base, &agent__routes__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "UpdateRoutes: to nowhere");
	check(call("ListInterfaces", &empty.base,
		   &agent__interfaces__descriptor,
		   (ProtobufCMessage **)&got) == TTRPC_OK &&
		      got->n_interfaces >= 2,
	      "ListInterfaces");
}

static uint32_t flags_of(const char *name)
{
	Agent__Interfaces *list = NULL;
	uint32_t flags = UINT32_MAX;

	if (call("ListInterfaces", &empty.base, &agent__interfaces__descriptor,
		 (ProtobufCMessage **)&list) != TTRPC_OK)
		return flags;
	for (size_t i = 0; i < list->n_interfaces; i++) {
		if (strcmp(list->interfaces[i]->name, name) == 0)
			flags = list->interfaces[i]->raw_flags;
	}
	agent__interfaces__free_unpacked(list, NULL);
	return flags;
}

static void test_flags(Agent__UpdateInterfaceRequest *req)
{
	req->interface->raw_flags = NOARP;
	check(call("UpdateInterface", &req->base, &agent__interface__descriptor,
		   NULL) == TTRPC_OK &&
		      shell("ip link show eth7 | grep -q '[<,]NOARP[,>]'") ==
			      0 &&
		      flags_of("eth7") == NOARP,
	      "UpdateInterface: without ARP");
	req->interface->raw_flags = 0;
	check(call("UpdateInterface", &req->base, &agent__interface__descriptor,
		   NULL) == TTRPC_OK &&
		      shell("ip link show eth7 | grep -q '[<,]NOARP[,>]'") !=
			      0 &&
		      flags_of("eth7") == 0,
	      "UpdateInterface: and with it");
	req->interface->raw_flags = 1;
	check(call("UpdateInterface", &req->base, &agent__interface__descriptor,
		   NULL) == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "raw_flags 0x1"),
	      "UpdateInterface: other flags");
	req->interface->raw_flags = 0;
}

static void test_network(void)
{
	Agent__UpdateInterfaceRequest req =
		AGENT__UPDATE_INTERFACE_REQUEST__INIT;
	Agent__Interface in = AGENT__INTERFACE__INIT;
	Agent__IPAddress a = AGENT__IPADDRESS__INIT;
	Agent__IPAddress b = AGENT__IPADDRESS__INIT;
	Agent__IPAddress *addresses[] = {&a, &b};

	if (shell("(ip tuntap add mode tap nt0 2> /dev/null || "
		  "tunctl -t nt0 > /dev/null) && "
		  "ip link set nt0 address 02:00:00:00:00:09 && "
		  "ip addr add 10.9.9.9/24 dev nt0") != 0) {
		skip("network: no tap interface here");
		return;
	}
	in.hw_addr = strdup("02:00:00:00:00:09");
	in.name = strdup("eth7");
	in.mtu = 1400;
	a.address = strdup("192.0.2.5");
	a.mask = strdup("24");
	b.family = 1;
	b.address = strdup("2001:db8::5");
	b.mask = strdup("64");
	in.ip_addresses = addresses;
	in.n_ip_addresses = 2;
	req.interface = &in;
	check(call("UpdateInterface", &req.base, &agent__interface__descriptor,
		   NULL) == TTRPC_OK,
	      "UpdateInterface");
	check(shell("ip addr show eth7 | grep -q 'mtu 1400' && "
		    "ip addr show eth7 | grep -q 192.0.2.5/24 && "
		    "ip addr show eth7 | grep -q 2001:db8::5/64 && "
		    "ip link show eth7 | grep -q '[<,]UP[,>]' && "
		    "! ip addr show eth7 | grep -q 10.9.9.9") == 0,
	      "the interface is as asked");
	test_flags(&req);
	in.hw_addr = strdup("02:00:00:00:00:0a");
	check(call("UpdateInterface", &req.base, &agent__interface__descriptor,
		   NULL) == TTRPC_NOT_FOUND,
	      "an interface that is not there");
	test_routes();
	test_onlink();
}

static void test_neighbors(void)
{
	Agent__AddARPNeighborsRequest req =
		AGENT__ADD_ARPNEIGHBORS_REQUEST__INIT;
	Agent__ARPNeighbors list = AGENT__ARPNEIGHBORS__INIT;
	Agent__ARPNeighbor n = AGENT__ARPNEIGHBOR__INIT;
	Agent__ARPNeighbor *items[] = {&n};
	Agent__IPAddress a = AGENT__IPADDRESS__INIT;

	if (shell("ip link show eth7 > /dev/null 2>&1") != 0)
		return;
	a.address = strdup("192.0.2.77");
	n.to_ip_address = &a;
	n.device = strdup("eth7");
	n.lladdr = strdup("02:00:00:00:00:77");
	n.state = 0x80;
	list.arp_neighbors = items;
	list.n_arp_neighbors = 1;
	req.neighbors = &list;
	check(call("AddARPNeighbors", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      shell("ip neigh show 192.0.2.77 | grep -q :77") == 0,
	      "AddARPNeighbors");
	a.address = strdup("192.0.2.78");
	n.lladdr = strdup("");
	n.flags = PROXY;
	/* Of those that it answers for: ATF_PUBL and ATF_PERM. */
	check(call("AddARPNeighbors", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      shell("grep -q '^192.0.2.78 .* 0xc .* eth7$' "
			    "/proc/net/arp") == 0,
	      "AddARPNeighbors: one to answer for");
	n.flags = 0x100 | PROXY;
	check(call("AddARPNeighbors", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "AddARPNeighbors: flags that are none");
	n.flags = 0;
	n.device = strdup("nodev0");
	check(call("AddARPNeighbors", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_NOT_FOUND,
	      "AddARPNeighbors: by no interface");
}

static bool announces(const Agent__AgentDetails *details, const char *feature)
{
	for (size_t i = 0; i < details->n_extra_features; i++)
		if (strcmp(details->extra_features[i], feature) == 0)
			return true;
	return false;
}

/* A host that does not find them does without, and says nothing. */
static void check_features(const Agent__AgentDetails *details)
{
	static const char *const features[] = {
		"exit_timestamps", "oom_killed",  "cgroup_unified",
		"spec_extensions", "file_events", "stdio_ports",
	};

	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		check(announces(details, features[i]), "it announces %s",
		      features[i]);
}

/* What the kernel says, 0 without memory that comes and goes. */
static void test_memory_details(void)
{
	Agent__GuestDetailsRequest req = AGENT__GUEST_DETAILS_REQUEST__INIT;
	Agent__GuestDetailsResponse *reply = NULL;
	FILE *f = fopen("/sys/devices/system/memory/block_size_bytes", "r");
	bool probe = access("/sys/devices/system/memory/probe", F_OK) == 0;
	uint64_t size = 0;

	if (f && fscanf(f, "%" SCNx64, &size) != 1)
		size = UINT64_MAX;
	if (f)
		(void)fclose(f);
	req.mem_block_size = req.mem_hotplug_probe = true;
	check(call("GetGuestDetails", &req.base,
		   &agent__guest_details_response__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK &&
		      reply->mem_block_size_bytes == size &&
		      reply->support_mem_hotplug_probe == probe,
	      "GetGuestDetails: blocks of memory of %#" PRIx64 " bytes", size);
}

static void test_details(const char *rootfs)
{
	Agent__GuestDetailsRequest req = AGENT__GUEST_DETAILS_REQUEST__INIT;
	Agent__GuestDetailsResponse *reply = NULL;
	Agent__ContainerRequest c = AGENT__CONTAINER_REQUEST__INIT;
	Agent__StatsContainerResponse *stats = NULL;
	struct test_spec s;

	check(call("GetGuestDetails", &req.base,
		   &agent__guest_details_response__descriptor,
		   (ProtobufCMessage **)&reply) == TTRPC_OK &&
		      reply->agent_details &&
		      reply->agent_details->supports_seccomp &&
		      reply->agent_details->n_storage_handlers == 8 &&
		      reply->mem_block_size_bytes == 0 &&
		      !reply->support_mem_hotplug_probe,
	      "GetGuestDetails");
	test_memory_details();
	if (reply && reply->agent_details)
		check_features(reply->agent_details);
	check(call("Frobnicate", &req.base, &agent__empty__descriptor, NULL) ==
		      TTRPC_UNIMPLEMENTED,
	      "a method that is not there");
	spec_init(&s, rootfs, "sleep", "100", END);
	c.container_id = strdup("g1");
	check(create("g1", &s) == TTRPC_OK && start("g1") == TTRPC_OK &&
		      call("StatsContainer", &c.base,
			   &agent__stats_container_response__descriptor,
			   (ProtobufCMessage **)&stats) == TTRPC_OK &&
		      stats->cgroup_stats && stats->n_network_stats >= 1,
	      "StatsContainer");
	if (getenv("AGENT_IS_INIT") && stats && stats->cgroup_stats) {
		const Agent__CgroupStats *g = stats->cgroup_stats;

		check(g->memory_stats->usage->usage > 0 &&
			      g->memory_stats->n_stats > 10 &&
			      g->pids_stats->current == 1,
		      "its %" PRIu64 " bytes, %zu numbers, %" PRIu64
		      " processes",
		      g->memory_stats->usage->usage, g->memory_stats->n_stats,
		      g->pids_stats->current);
	}
	check(remove_container("g1") == TTRPC_OK, "remove");
}

/* Until the agent has seen the end of a connection. */
static void await_descriptors(unsigned long most)
{
	for (int i = 0; i < 400 && metric(DESCRIPTORS) > most; i++)
		usleep(50000);
}

/* A reader of a connection that is gone must not eat output. */
static void test_reconnect(const char *rootfs)
{
	struct test_spec s;
	unsigned long before;
	uint32_t len;
	pid_t pid;
	int fd;

	spec_init(&s, rootfs, "cat", END);
	check(create("g1", &s) == TTRPC_OK && start("g1") == TTRPC_OK, "cat");
	before = metric(DESCRIPTORS);
	fd = client_open();
	pid = fork();
	if (pid == 0) {
		Agent__ReadStreamRequest req = AGENT__READ_STREAM_REQUEST__INIT;

		req.container_id = strdup("g1");
		req.len = 100;
		(void)call_on(fd, "ReadStdout", &req.base,
			      &agent__read_stream_response__descriptor, NULL);
		_exit(0);
	}
	close(fd);
	usleep(100000); /* the call of the child is under way */
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	await_descriptors(before);
	check(write_stdin("g1", "", "kept\n", &len) == TTRPC_OK &&
		      close_stdin("g1", "") == TTRPC_OK &&
		      strcmp(read_all("g1", "", false), "kept\n") == 0,
	      "output waits for the next reader");
	check(remove_container("g1") == TTRPC_OK, "remove");
}

/* These change the machine, so only a guest of our own. */
static void test_clock(void)
{
	Agent__SetGuestDateTimeRequest set =
		AGENT__SET_GUEST_DATE_TIME_REQUEST__INIT;
	Agent__ReseedRandomDevRequest seed =
		AGENT__RESEED_RANDOM_DEV_REQUEST__INIT;
	uint8_t bytes[32] = {1, 2, 3};
	time_t now;

	set.sec = 2000000000;
	set.usec = 5;
	check(call("SetGuestDateTime", &set.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      (now = time(NULL)) >= 2000000000 && now < 2000000060,
	      "SetGuestDateTime");
	set.usec = 1000000;
	check(call("SetGuestDateTime", &set.base, &agent__empty__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "a time out of range");
	seed.data.data = bytes;
	seed.data.len = sizeof(bytes);
	check(call("ReseedRandomDev", &seed.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "ReseedRandomDev");
	seed.data.len = 0;
	check(call("ReseedRandomDev", &seed.base, &agent__empty__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "no entropy");
}

static enum ttrpc_code share(const char *id, struct test_spec *x,
			     const char *source, const char *path)
{
	Agent__CreateContainerRequest req =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;
	Agent__SharedMount m = AGENT__SHARED_MOUNT__INIT, *list[] = {&m};

	m.name = strdup("cache");
	m.src_ctr = strdup(source);
	m.src_path = strdup(path);
	m.dst_ctr = strdup("user");
	m.dst_path = strdup("/made/cache");
	req.container_id = strdup(id);
	req.oci = &x->spec;
	req.shared_mounts = list;
	req.n_shared_mounts = 1;
	return call("CreateContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

/* What one container has mounted, in another. */
static void test_shared_mounts(const char *rootfs)
{
	static Oci__Pair name;
	static Oci__Pair *names[] = {&name};
	static char *caps[] = {(char *)"CAP_SYS_ADMIN"};
	struct test_spec a, b, x;
	int status;

	oci__pair__init(&name);
	name.key = strdup("io.kubernetes.cri.container-name");
	name.value = strdup("maker");
	spec_init(&a, rootfs, "sh", "-c", "echo text > /cache/f; sleep 1000",
		  END);
	spec_mount(&a, "tmpfs", "tmpfs", "/cache", "");
	a.spec.annotations = names;
	a.spec.n_annotations = 1;
	spec_init(&b, rootfs, "sh", "-c", "cat /made/cache/f", END);
	check(create("m1", &a) == TTRPC_OK && start("m1") == TTRPC_OK, "start");
	spec_init(&x, rootfs, "sh", "-c",
		  "while ! test -s /cache/f; do sleep 0.1; done", END);
	check(exec_process("m1", "e", &x) == TTRPC_OK &&
		      wait_process("m1", "e", &status) == TTRPC_OK,
	      "it has made a file");
	check(share("m2", &b, "maker", "/cache") == TTRPC_OK &&
		      start("m2") == TTRPC_OK &&
		      strcmp(read_all("m2", "", false), "text\n") == 0,
	      "a mount of another container, by its name");
	check(remove_container("m2") == TTRPC_OK, "remove");
	check(share("m2", &b, "m1", "/cache") == TTRPC_OK &&
		      start("m2") == TTRPC_OK &&
		      strcmp(read_all("m2", "", false), "text\n") == 0,
	      "and by its id");
	check(remove_container("m2") == TTRPC_OK, "remove");
	spec_init(&x, rootfs, "sh", "-c",
		  "mkdir -p /late; sleep 0.3; mount -t tmpfs none /late; "
		  "echo late > /late/f",
		  END);
	x.process.capabilities = &x.caps;
	x.caps.bounding = x.caps.permitted = x.caps.effective = caps;
	x.caps.n_bounding = x.caps.n_permitted = x.caps.n_effective = 1;
	check(exec_process("m1", "late", &x) == TTRPC_OK &&
		      share("m2", &b, "m1", "/late") == TTRPC_OK &&
		      wait_process("m1", "late", &status) == TTRPC_OK &&
		      start("m2") == TTRPC_OK &&
		      strcmp(read_all("m2", "", false), "late\n") == 0,
	      "a mount that is waited for");
	check(remove_container("m2") == TTRPC_OK, "remove");
	check(share("m2", &b, "nobody", "/cache") == TTRPC_NOT_FOUND &&
		      strstr(call_text, "no such container"),
	      "of a container that is not there");
	check(share("m2", &b, "m1", "/none") == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, "in time"),
	      "a mount that does not come");
	check(share("m2", &b, "m1", "cache") == TTRPC_INVALID_ARGUMENT,
	      "a path that is none");
	check(remove_container("m1") == TTRPC_OK, "remove");
}

/* Of a shell in a pod: whose parents end becomes the child of the pod's first
 * process, which leaves no zombie of it; nor is there any other one. */
static void test_orphans(const char *rootfs)
{
	static const char script[] =
		"p=$(sh -c '(sh -c \"sleep 99 > /dev/null & echo \\$!\" &)'); "
		"i=0; until grep -qs 'PPid:.1$' /proc/$p/status; do "
		"i=$((i + 1)); [ $i -lt 400 ] || exit 1; sleep 0.05; done; "
		"kill $p; while [ -e /proc/$p ] || "
		"grep -qs '^State:.Z' /proc/[0-9]*/status; do "
		"i=$((i + 1)); [ $i -lt 800 ] || exit 2; sleep 0.05; done";
	struct test_spec s, x;
	int status;

	spec_init(&s, rootfs, "sh", "-c", script, END);
	(void)run("p2", &s, &status);
	check(status == 0, "a container's orphans of orphans (%d)", status);
	spec_init(&x, rootfs, "true", END);
	check(exec_process("p1", "unasked", &x) == TTRPC_OK &&
		      exec_process("p1", "orphans", &s) == TTRPC_OK &&
		      wait_process("p1", "orphans", &status) == TTRPC_OK &&
		      status == 0,
	      "and those of an exec, and one whose end nobody asks for (%d)",
	      status);
}

static void test_sandbox(const char *rootfs)
{
	Agent__CreateSandboxRequest req = AGENT__CREATE_SANDBOX_REQUEST__INIT;
	Agent__Storage shm = AGENT__STORAGE__INIT;
	Agent__Storage *storages[] = {&shm};
	char *options[] = {(char *)"noexec", (char *)"mode=1777",
			   (char *)"size=1m"};
	struct test_spec a, b;

	shm.driver = strdup("frob");
	shm.source = strdup("shm");
	shm.fstype = strdup("tmpfs");
	shm.mount_point = strdup("/run/kata-containers/sandbox/shm");
	shm.options = options;
	shm.n_options = 3;
	req.storages = storages;
	req.n_storages = 1;
	req.sandbox_id = strdup("box");
	req.sandbox_pidns = true;
	req.guest_hook_path = strdup("run/hooks");
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_INVALID_ARGUMENT,
	      "hooks at a relative path");
	req.guest_hook_path = strdup("/run/hooks");
	hooks_prepare();
	if (getenv("AGENT_IS_INIT")) {
		static char *dns[] = {(char *)"192.0.2.53",
				      (char *)"search example.org"};

		req.hostname = strdup("pod");
		req.dns = dns;
		req.n_dns = 2;
	}
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) != TTRPC_OK &&
		      strstr(call_text, "driver frob"),
	      "unknown storage driver");
	shm.driver = strdup("ephemeral");
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      shell("grep -q 'sandbox/shm tmpfs.*size=1024k' "
			    "/proc/mounts") == 0,
	      "CreateSandbox");
	check(call("CreateSandbox", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_ALREADY_EXISTS,
	      "CreateSandbox twice");
	if (getenv("AGENT_IS_INIT"))
		check(shell("[ $(hostname) = pod ] && grep -q "
			    "'^nameserver 192.0.2.53$' /etc/resolv.conf && "
			    "grep -q '^search example.org$' "
			    "/etc/resolv.conf") == 0,
		      "host name and name servers");
	spec_init(&a, rootfs, "sleep", "4321", END);
	spec_init(&b, rootfs, "sh", "-c", "ps -o args | grep -c '[s]leep 4321'",
		  END);
	check(create("p1", &a) == TTRPC_OK && start("p1") == TTRPC_OK &&
		      create("p2", &b) == TTRPC_OK && start("p2") == TTRPC_OK &&
		      strcmp(read_all("p2", "", false), "1\n") == 0,
	      "containers share a pid namespace");
	check(remove_container("p2") == TTRPC_OK, "remove one of them");
	test_orphans(rootfs);
	test_guest_hooks(rootfs);
	if (getenv("AGENT_IS_INIT"))
		check(shell("rss=$(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/"
			    "\\1/p' /proc/1/status); echo \"# resident: $rss "
			    "KiB\"; [ $rss -le 2048 ]") == 0,
		      "the agent's memory");
}

void test_guest_suite(const char *rootfs)
{
	test_network();
	test_neighbors();
	test_details(rootfs);
	test_reconnect(rootfs);
	test_shared_mounts(rootfs);
	if (getenv("AGENT_IS_INIT"))
		test_clock();
	test_sandbox(rootfs);
	test_policy_suite(rootfs);
	check(call("DestroySandbox", &empty.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "DestroySandbox with a container");
}

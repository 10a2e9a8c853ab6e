/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/magic.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "netns/enter.h"
#include "netns/tap.h"

/*
 * The test's own namespace plays the host: veths lead from it into the
 * namespace of a pod, whose interfaces are made by ip(8).
 */
static struct {
	bool able; /* root, ip, taps and redirections are there */
	char dir[64];
	char pod[80];
	struct netns_network net;
} t;

static int run(const char *fmt, ...) PRINTF(1, 2);

static int run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

#define ip(...) assert_int_equal(run("ip " __VA_ARGS__), 0)
#define pod(args) assert_int_equal(run("nsenter --net=%s %s", t.pod, args), 0)

static bool probe(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 ||
	    access("/dev/net/tun", R_OK | W_OK) < 0)
		return false;
	return run("{ ip link add p0 type veth peer name p1 && "
		   "tc qdisc add dev p0 ingress && "
		   "tc filter add dev p0 parent ffff: protocol all u32 "
		   "match u32 0 0 action mirred egress redirect dev p1 && "
		   "ip link del p0; } >/dev/null 2>&1") == 0;
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	if (!t.able)
		return 0;
	strcpy(t.dir, "/tmp/netns.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.pod, sizeof(t.pod), "%s/pod", t.dir);
	assert_int_equal(netns_create(t.pod, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	if (!t.able)
		return 0;
	netns_network_release(&t.net);
	run("ip link del h0 2>/dev/null");
	assert_int_equal(netns_remove(t.pod, &err), 0);
	assert_int_equal(rmdir(t.dir), 0);
	return 0;
}

static void need_root(void)
{
	if (!t.able)
		skip();
}

static void add_veth(void)
{
	ip("link add h0 type veth peer name eth0 netns %s", t.pod);
	ip("link set h0 up");
	pod("ip link set eth0 address 02:00:00:00:00:77 mtu 1400 up");
}

static void attach(void)
{
	struct err err = {0};

	if (netns_attach(t.pod, NETNS_TCFILTER, &t.net, &err) < 0)
		fail_msg("%s", err.text);
}

static void detach(void)
{
	struct err err = {0};

	if (netns_detach(t.pod, &err) < 0)
		fail_msg("%s", err.text);
}

static bool pod_says(const char *command, const char *word)
{
	return run("nsenter --net=%s %s | grep -q '%s'", t.pod, command,
		   word) == 0;
}

static void expect_clean(void)
{
	assert_false(pod_says("ip link", "tap"));
	assert_false(pod_says("tc qdisc", "ingress"));
	assert_false(pod_says("tc filter show dev eth0 ingress", "filter"));
}

/* Tests. ------------------------------------------------------------------ */

static void test_models(void **state)
{
	enum netns_model model = NETNS_NONE;
	struct err err = {0};

	assert_int_equal(netns_model_parse("tcfilter", &model, &err), 0);
	assert_int_equal(model, NETNS_TCFILTER);
	assert_int_equal(netns_model_parse("none", &model, &err), 0);
	assert_int_equal(model, NETNS_NONE);
	assert_int_equal(netns_model_parse("", &model, &err), 0);
	assert_int_equal(model, NETNS_TCFILTER);
	assert_int_equal(netns_model_parse("macvtap", &model, &err), -EINVAL);
	assert_non_null(strstr(err.text, "macvtap"));
}

static void test_tap_names(void **state)
{
	char name[IFNAMSIZ];

	tap_name(7, name);
	assert_string_equal(name, "tap7_nacre");
	assert_true(tap_name_is_ours("tap0_nacre"));
	assert_true(tap_name_is_ours("tap12_nacre"));
	assert_false(tap_name_is_ours("tap0_kata"));
	assert_false(tap_name_is_ours("tap0_nacre2"));
	assert_false(tap_name_is_ours("tap00_nacre"));
	assert_false(tap_name_is_ours("tap_nacre"));
	assert_false(tap_name_is_ours("eth0"));
}

static void test_create_and_remove(void **state)
{
	struct err err = {0};
	struct statfs fs;
	struct stat before;
	struct stat after;

	need_root();
	assert_int_equal(stat("/proc/self/ns/net", &before), 0);
	assert_int_equal(statfs(t.pod, &fs), 0);
	assert_int_equal(fs.f_type, NSFS_MAGIC);
	assert_true(pod_says("ip addr show lo", "127.0.0.1"));
	assert_int_equal(netns_create(t.pod, &err), -EEXIST);
	assert_int_equal(netns_remove(t.pod, &err), 0);
	assert_int_equal(access(t.pod, F_OK), -1);
	assert_int_equal(netns_remove(t.pod, &err), 0);
	/* Left between file and mount. */
	close(open(t.pod, O_CREAT | O_RDONLY, 0));
	assert_int_equal(netns_remove(t.pod, &err), 0);
	assert_int_equal(netns_create("/nonexistent/x", &err), -ENOENT);
	assert_int_equal(stat("/proc/self/ns/net", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void test_bad_paths(void **state)
{
	struct err err = {0};

	need_root();
	assert_int_equal(
		netns_attach("/nonexistent", NETNS_TCFILTER, &t.net, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_int_equal(
		netns_attach("/etc/passwd", NETNS_TCFILTER, &t.net, &err),
		-EINVAL);
	assert_int_equal(
		netns_attach("/proc/self/ns/mnt", NETNS_TCFILTER, &t.net, &err),
		-EINVAL);
	assert_int_equal(
		netns_attach("/proc/self/ns/net", NETNS_TCFILTER, &t.net, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "host"));
	/* Refused by us, or by the kernel where that one is hidden. */
	assert_true(netns_attach("/proc/1/ns/net", NETNS_TCFILTER, &t.net,
				 &err) < 0);
	assert_int_equal(netns_detach("/nonexistent", &err), 0);
	assert_int_equal(netns_detach("/proc/self/ns/net", &err), -EINVAL);
}

static void test_nothing_there(void **state)
{
	need_root();
	attach();
	assert_int_equal(t.net.count, 0);
	detach();
}

static void test_model_none(void **state)
{
	struct err err = {0};

	need_root();
	add_veth();
	assert_int_equal(netns_attach(t.pod, NETNS_NONE, &t.net, &err), 0);
	assert_int_equal(t.net.count, 0);
	expect_clean();
}

static const struct netns_route *route_to(const char *dest, int family)
{
	const struct netns_interface *i = &t.net.interfaces[0];

	for (unsigned n = 0; n < i->nroutes; n++) {
		if (i->routes[n].family == family &&
		    strcmp(i->routes[n].dest, dest) == 0)
			return &i->routes[n];
	}
	fail_msg("no route to '%s'", dest);
	return NULL;
}

static void check_routes(const struct netns_interface *i)
{
	const struct netns_route *r = route_to("", AF_INET);

	/* What has a gateway comes after what it is reached by. */
	assert_int_equal(i->nroutes, 6);
	assert_string_equal(i->routes[0].gateway, "");
	assert_string_equal(i->routes[1].gateway, "");
	assert_string_equal(r->gateway, "10.1.2.1");
	assert_int_equal(r->scope, RT_SCOPE_UNIVERSE);
	r = route_to("10.9.0.0/16", AF_INET);
	assert_string_equal(r->gateway, "10.1.2.9");
	assert_string_equal(r->source, "10.1.2.3");
	assert_int_equal(r->mtu, 1300);
	assert_int_equal(r->priority, 7);
	r = route_to("10.8.0.0/16", AF_INET);
	assert_string_equal(r->gateway, "169.254.1.1");
	assert_int_equal(r->flags, RTNH_F_ONLINK);
	r = route_to("169.254.1.2/32", AF_INET);
	assert_int_equal(r->scope, RT_SCOPE_LINK);
	r = route_to("fd00:1::/64", AF_INET6);
	assert_string_equal(r->gateway, "");
	r = route_to("", AF_INET6);
	assert_string_equal(r->gateway, "fd00::1");
}

static void test_discover(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x77};
	static const uint8_t peer[6] = {2, 0, 0, 0, 0, 1};
	const struct netns_interface *i = &t.net.interfaces[0];

	need_root();
	add_veth();
	pod("ip addr add 10.1.2.3/24 dev eth0");
	pod("ip addr add fd00::3/64 dev eth0 nodad");
	pod("ip route add default via 10.1.2.1");
	pod("ip route add 10.9.0.0/16 via 10.1.2.9 src 10.1.2.3 mtu 1300 "
	    "metric 7");
	pod("ip route add 10.8.0.0/16 via 169.254.1.1 dev eth0 onlink");
	pod("ip route add 169.254.1.2 dev eth0");
	pod("ip route add fd00:1::/64 dev eth0");
	pod("ip route add default via fd00::1");
	pod("ip route add 10.7.0.0/16 dev eth0 table 100");
	pod("ip neigh add 10.1.2.1 lladdr 02:00:00:00:00:01 dev eth0");
	pod("ip neigh add 10.1.2.2 lladdr 02:00:00:00:00:02 nud stale dev "
	    "eth0");
	pod("ip link add br0 type bridge");
	pod("ip link set br0 up");
	pod("ip link add down0 type veth peer name down1");
	attach();
	assert_int_equal(t.net.count, 1);
	assert_string_equal(i->name, "eth0");
	assert_string_equal(i->tap, "tap0_nacre");
	assert_memory_equal(i->mac, mac, 6);
	assert_int_equal(i->mtu, 1400);
	assert_int_equal(i->flags, 0);
	assert_int_equal(i->naddresses, 2);
	assert_string_equal(i->addresses[0].address, "10.1.2.3");
	assert_int_equal(i->addresses[0].prefix, 24);
	assert_string_equal(i->addresses[1].address, "fd00::3");
	assert_int_equal(i->addresses[1].prefix, 64);
	check_routes(i);
	assert_int_equal(i->nneighbors, 1);
	assert_string_equal(i->neighbors[0].address, "10.1.2.1");
	assert_memory_equal(i->neighbors[0].lladdr, peer, 6);
	assert_true(pod_says("ip link show tap0_nacre", "mtu 1400"));
	detach();
	expect_clean();
}

/* Traffic. ----------------------------------------------------------------- */

static const uint8_t frame[60] = {2, 0, 0, 0, 0,    0x77, 2, 0,
				  0, 0, 0, 9, 0x88, 0xb5, 42};

static int open_packet(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Waits for our frame among the kernel's own. skip: bytes before it. */
static void expect_frame(int fd, size_t before)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint8_t buf[2000];

	for (;;) {
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, 5000), 1);
		n = read(fd, buf, sizeof(buf));
		if (n == (ssize_t)(before + sizeof(frame)) &&
		    !memcmp(buf + before, frame, sizeof(frame)))
			return;
	}
}

static void test_traffic(void **state)
{
	uint8_t out[12 + sizeof(frame)] = {0};
	int host;

	need_root();
	add_veth();
	attach();
	assert_int_equal(t.net.count, 1);
	host = open_packet("h0");
	assert_int_equal(write(host, frame, sizeof(frame)), sizeof(frame));
	expect_frame(t.net.interfaces[0].tap_fd, 12);
	memcpy(out + 12, frame, sizeof(frame));
	assert_int_equal(write(t.net.interfaces[0].tap_fd, out, sizeof(out)),
			 sizeof(out));
	expect_frame(host, 0);
	close(host);
	detach();
	expect_clean();
}

static void test_busy(void **state)
{
	static struct netns_network second;
	struct err err = {0};

	need_root();
	add_veth();
	attach();
	assert_int_equal(netns_attach(t.pod, NETNS_TCFILTER, &second, &err),
			 -EBUSY);
	assert_non_null(strstr(err.text, t.pod));
	assert_int_equal(second.count, 0);
	/* The first one still has them. */
	assert_true(pod_says("ip link", "tap0_nacre"));
	assert_true(pod_says("tc qdisc", "ingress"));
	detach();
	detach();
	expect_clean();
}

/* The supervisor was killed: its taps went, its redirections did not. */
static void test_killed(void **state)
{
	need_root();
	add_veth();
	attach();
	netns_network_release(&t.net);
	assert_true(pod_says("tc qdisc", "ingress"));
	detach();
	expect_clean();
	attach();
	netns_network_release(&t.net);
	attach();
	assert_int_equal(t.net.count, 1);
	detach();
	expect_clean();
}

/* Filters of others stay where they are. */
static void test_others_filters(void **state)
{
	need_root();
	add_veth();
	pod("tc qdisc add dev eth0 clsact");
	pod("tc filter add dev eth0 ingress protocol 0x88b6 prio 5 u32 match "
	    "u32 0 0 action mirred egress redirect dev lo");
	attach();
	assert_int_equal(t.net.count, 1);
	detach();
	assert_true(pod_says("tc qdisc", "clsact"));
	assert_true(pod_says("tc filter show dev eth0 ingress", "pref 5"));
	assert_false(pod_says("tc filter show dev eth0 ingress", "49000"));
	pod("tc filter del dev eth0 ingress");
	attach();
	netns_network_release(&t.net);
	detach();
	assert_true(pod_says("tc qdisc", "clsact"));
}

static void test_limits(void **state)
{
	struct err err = {0};

	need_root();
	add_veth();
	for (unsigned i = 1; i <= NETNS_INTERFACES_MAX; i++)
		assert_int_equal(run("nsenter --net=%s sh -c 'ip link add a%u "
				     "type veth peer name b%u && ip link set "
				     "a%u up'",
				     t.pod, i, i, i),
				 0);
	assert_int_equal(netns_attach(t.pod, NETNS_TCFILTER, &t.net, &err),
			 -E2BIG);
	assert_non_null(strstr(err.text, t.pod));
	assert_int_equal(t.net.count, 0);
	expect_clean();
	pod("ip link del a1");
	attach();
	assert_int_equal(t.net.count, NETNS_INTERFACES_MAX);
	assert_string_equal(t.net.interfaces[7].tap, "tap7_nacre");
	detach();
	netns_network_release(&t.net);
	pod("sh -c 'for i in $(seq 65); do ip route add 10.3.$i.0/24 dev eth0; "
	    "done'");
	assert_int_equal(netns_attach(t.pod, NETNS_TCFILTER, &t.net, &err),
			 -E2BIG);
	assert_non_null(strstr(err.text, "eth0"));
	expect_clean();
}

static int no_job(struct netns_job *job, struct nl_sock *sock, struct err *err)
{
	(void)job;
	(void)sock;
	(void)err;
	return 0;
}

/* What it did there in another thread is over: mount namespaces are for
 * those alone who share no root and no directory. */
static void test_alone_afterwards(void **state)
{
	int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	(void)state;
	need_root();
	for (int i = 0; i < 200; i++) {
		struct netns_job job = {.run = no_job, .path = "new"};
		struct err err;

		assert_int_equal(netns_enter(-1, &job, &err), 0);
		assert_int_equal(setns(ns, CLONE_NEWNS), 0);
	}
	close(ns);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_models),
		T(test_tap_names),
		T(test_create_and_remove),
		T(test_bad_paths),
		T(test_nothing_there),
		T(test_model_none),
		T(test_discover),
		T(test_traffic),
		T(test_busy),
		T(test_killed),
		T(test_others_filters),
		T(test_limits),
		T(test_alone_afterwards),
	};

	t.able = probe();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

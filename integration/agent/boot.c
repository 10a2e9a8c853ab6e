/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot AGENT: the agent as the first process of a machine, as far as one can
 * be had without one: of new namespaces with an empty root. The device file
 * system would be this machine's own, so the agent gets another one in its
 * place; and so are the devices of sysfs, and system calls that would change
 * this machine.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "integration/agent/boot.h"
#include "integration/agent/boot_kernel.h"
#include "integration/agent/client.h"

#define GROUP "/sys/fs/cgroup/nacre-test-boot"
#define SYSTEM "/sys/devices/system"
#define BUS "/sys/devices/pci0000:00"
#define MEMORY "/sys/devices/system/memory/"
#define START_US 5000
#define TRIES 100 /* of some 30 ms each */
#define BLOCK 0x8000000u

static pid_t agent;
static FILE *said;

void need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("not ok - %s: %s\n0 passed, 1 failed, 0 skipped\n", what,
	       strerror(errno));
	if (agent > 0)
		(void)kill(agent, SIGKILL);
	(void)rmdir(GROUP);
	exit(1);
}

void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	     path);
	close(fd);
}

const char *in_guest(const char *path)
{
	static char text[2][256];
	static unsigned which;
	char *out = text[which++ % 2];

	(void)snprintf(out, sizeof(text[0]), "/proc/%d/root%s", (int)agent,
		       path);
	return out;
}

/* Its start. --------------------------------------------------------------- */

static NORETURN void first_process(int binary, int console, int watched)
{
	static char name[] = "/init";
	static char *argv[] = {name, NULL}, *env[] = {NULL};
	char dir[] = "/tmp/boot.XXXXXX";
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(dir) || mount("root", dir, "tmpfs", 0, NULL) < 0 ||
	    chdir(dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		_exit(126);
	/* What would change this machine. */
	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0);
	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0);
	if (dup2(null, 0) < 0 || dup2(console, 1) < 0 || dup2(console, 2) < 0 ||
	    kernel_watch(watched) < 0 || ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
		_exit(126);
	(void)syscall(SYS_execveat, binary, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

static void start_agent(const char *path)
{
	unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
			      CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
	int binary = open(path, O_RDONLY | O_CLOEXEC);
	int console[2], watched[2], status;

	need(binary >= 0, path);
	need(pipe2(console, O_CLOEXEC) == 0 &&
		     socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				watched) == 0,
	     "pipe");
	/* The root of its control groups. */
	need(mkdir(GROUP, 0755) == 0 || errno == EEXIST, GROUP);
	put(GROUP "/cgroup.procs", "0");
	agent = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (agent == 0)
		first_process(binary, console[1], watched[1]);
	need(agent > 0, "namespaces");
	put("/sys/fs/cgroup/cgroup.procs", "0");
	close(console[1]);
	close(watched[1]);
	close(binary);
	need(kernel_answer(watched[0]) == 0, "system calls are watched");
	close(watched[0]);
	said = fdopen(console[0], "r");
	need(said && waitpid(agent, &status, 0) == agent && WIFSTOPPED(status),
	     "a first process");
}

/* The third argument of the call at whose entry the process is. */
static void set_type(uint64_t value)
{
	struct user_regs_struct regs;
	struct iovec io = {.iov_base = &regs, .iov_len = sizeof(regs)};

	need(ptrace(PTRACE_GETREGSET, agent, NT_PRSTATUS, &io) == 0, "ptrace");
#if defined(__x86_64__)
	regs.rdx = value;
#elif defined(__aarch64__)
	regs.regs[2] = value;
#endif
	need(ptrace(PTRACE_SETREGSET, agent, NT_PRSTATUS, &io) == 0, "ptrace");
}

static bool is_text(uint64_t address, const char *text)
{
	char found[32] = "";
	struct iovec to = {.iov_base = found, .iov_len = strlen(text) + 1};
	struct iovec from = {.iov_base = (void *)(uintptr_t)address,
			     .iov_len = strlen(text) + 1};

	return process_vm_readv(agent, &to, 1, &from, 1, 0) ==
		       (ssize_t)to.iov_len &&
	       strcmp(found, text) == 0;
}

/* Runs it until it mounts its devices. */
static void follow(void)
{
	struct __ptrace_syscall_info info;
	int status;

	need(ptrace(PTRACE_SETOPTIONS, agent, 0,
		    PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0,
	     "ptrace");
	do {
		need(ptrace(PTRACE_SYSCALL, agent, 0, 0) == 0 &&
			     waitpid(agent, &status, 0) == agent &&
			     WIFSTOPPED(status),
		     "it mounts its devices");
		need(ptrace(PTRACE_GET_SYSCALL_INFO, agent, sizeof(info),
			    &info) > 0,
		     "ptrace");
	} while (info.op != PTRACE_SYSCALL_INFO_ENTRY ||
		 info.entry.nr != SYS_mount ||
		 !is_text(info.entry.args[2], "devtmpfs"));
	set_type(info.entry.args[2] + strlen("dev"));
}

/* In its place, where what it has mounted until now can be covered. */
static void cover(void)
{
	static const char *const dirs[] = {
		SYSTEM,
		SYSTEM "/memory",
		SYSTEM "/memory/memory32",
		SYSTEM "/cpu",
		SYSTEM "/cpu/cpu0",
		SYSTEM "/cpu/cpu1",
		BUS,
		BUS "/0000:00:04.0",
		BUS "/0000:00:04.0/virtio0",
		BUS "/0000:00:04.0/virtio0/block",
		BUS "/0000:00:04.0/virtio0/block/" BOOT_DISK,
	};

	need(mount("devices", "/sys/devices", "tmpfs", 0, NULL) == 0,
	     "/sys/devices");
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		need(mkdir(dirs[i], 0755) == 0, dirs[i]);
	put("/cmdline", "quiet agent.server_addr=unix:///run/agent.sock\n");
	need(mount("/cmdline", "/proc/cmdline", NULL, MS_BIND, NULL) == 0,
	     "/proc/cmdline");
	put(BOOT_COMPACTED, "");
	/* Of a kernel that has it. */
	(void)mount(BOOT_COMPACTED, "/proc/sys/vm/compact_memory", NULL,
		    MS_BIND, NULL);
}

void with_mounts(void (*work)(void), const char *what)
{
	char path[64];
	int mounts, status;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)agent);
	mounts = open(path, O_RDONLY | O_CLOEXEC);
	need(mounts >= 0, path);
	pid = fork();
	if (pid == 0) {
		agent = 0; /* its parent's to end */
		need(setns(mounts, CLONE_NEWNS) == 0, path);
		work();
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid && status == 0, what);
	close(mounts);
}

static int64_t processor_us(void)
{
	struct timespec used = {0};
	clockid_t clock;

	need(clock_getcpuclockid(agent, &clock) == 0 &&
		     clock_gettime(clock, &used) == 0,
	     "its clock");
	return used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* What it says it took; *took: with its loading and our looking on. */
static long try_start(const char *path, int64_t *took)
{
	char line[512];
	long told = -1;

	start_agent(path);
	*took = processor_us();
	follow();
	with_mounts(cover, "its system is not ours");
	need(ptrace(PTRACE_DETACH, agent, 0, 0) == 0, "ptrace");
	while (told < 0 && fgets(line, sizeof(line), said)) {
		const char *us = strstr(line, " ready,");

		printf("# agent: %s", line);
		us = us ? strstr(us, " the agent's, ") : NULL;
		if (us)
			told = atol(us + strlen(" the agent's, "));
	}
	*took = processor_us() - *took;
	printf("# microseconds of a processor: %ld told, %" PRId64
	       " with its loading and our looking on\n",
	       told, *took);
	return told;
}

/* Whatever else the machine does makes it slower, so once in time is enough. */
static void test_start(const char *path)
{
	int64_t took;
	long told = try_start(path, &took);

	for (int i = 1; i < TRIES && took > START_US; i++) {
		need(kill(agent, SIGKILL) == 0 &&
			     waitpid(agent, NULL, 0) == agent &&
			     fclose(said) == 0,
		     "another try");
		told = try_start(path, &took);
	}
	check(told > 0 && told <= START_US, "PID 1 is up in time, as it says");
	check(told > 0 && took >= told && took <= START_US,
	      "and as the kernel says");
}

/* What it made. ------------------------------------------------------------ */

static bool mounted(const char *type, const char *path)
{
	char file[64], line[1024], want[2][64];
	bool found = false;
	FILE *f;

	(void)snprintf(file, sizeof(file), "/proc/%d/mountinfo", (int)agent);
	(void)snprintf(want[0], sizeof(want[0]), " %s ", path);
	(void)snprintf(want[1], sizeof(want[1]), " - %s ", type);
	f = fopen(file, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, want[0]) && strstr(line, want[1]);
	if (f)
		(void)fclose(f);
	return found;
}

static void test_place(void)
{
	static const char *const mounts[][2] = {
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"tmpfs", "/dev"},
		{"devpts", "/dev/pts"},
		{"tmpfs", "/dev/shm"},
		{"tmpfs", "/run"},
		{"tmpfs", "/tmp"},
		{"mqueue", "/dev/mqueue"},
		{"cgroup2", "/sys/fs/cgroup"},
	};
	char target[32] = "";

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		check(mounted(mounts[i][0], mounts[i][1]), "%s at %s",
		      mounts[i][0], mounts[i][1]);
	check(readlink(in_guest("/dev/ptmx"), target, sizeof(target) - 1) > 0 &&
		      strcmp(target, "pts/ptmx") == 0,
	      "/dev/ptmx");
}

/* Processors and memory. --------------------------------------------------- */

static enum ttrpc_code probe(uint64_t first, uint64_t second)
{
	Agent__MemHotplugByProbeRequest req =
		AGENT__MEM_HOTPLUG_BY_PROBE_REQUEST__INIT;
	uint64_t addresses[] = {first, second};

	req.addresses = addresses;
	req.n_addresses = ARRAY_SIZE(addresses);
	return call("MemHotplugByProbe", &req.base, &agent__empty__descriptor,
		    NULL);
}

/* Blocks of that size, and whether the kernel asks for them. */
static bool details_are(uint64_t size, bool can_probe)
{
	Agent__GuestDetailsRequest req = AGENT__GUEST_DETAILS_REQUEST__INIT;
	Agent__GuestDetailsResponse *reply = NULL;
	bool yes;

	req.mem_block_size = req.mem_hotplug_probe = true;
	if (call("GetGuestDetails", &req.base,
		 &agent__guest_details_response__descriptor,
		 (ProtobufCMessage **)&reply) != TTRPC_OK)
		return false;
	yes = reply->mem_block_size_bytes == size &&
	      reply->support_mem_hotplug_probe == can_probe;
	agent__guest_details_response__free_unpacked(reply, NULL);
	return yes;
}

/* A pipe keeps what is written one after another; its watch counts. */
static void test_probe(void)
{
	char got[256] = "", events[1024];
	unsigned writes = 0;
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), fd;
	ssize_t n;

	check(probe(32ull * BLOCK, 34ull * BLOCK) == TTRPC_UNIMPLEMENTED &&
		      strstr(call_text, "finds memory by itself"),
	      "MemHotplugByProbe: a kernel that asks nobody");
	check(details_are(0, false), "GetGuestDetails: it does not");
	put(in_guest(MEMORY "block_size_bytes"), "8000000\n");
	need(mkfifo(in_guest(MEMORY "probe"), 0200) == 0, "probe");
	fd = open(in_guest(MEMORY "probe"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	need(fd >= 0 && watch >= 0 &&
		     inotify_add_watch(watch, in_guest(MEMORY "probe"),
				       IN_MODIFY | IN_CLOSE_WRITE) >= 0,
	     "a watch");
	check(details_are(BLOCK, true), "GetGuestDetails: it does");
	check(probe(32ull * BLOCK, 33ull * BLOCK + 4096) ==
			      TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text,
			     "0x108001000: blocks are of 0x8000000") &&
		      read(fd, got, sizeof(got)) <= 0,
	      "MemHotplugByProbe: none of them when one is not aligned");
	check(probe(34ull * BLOCK, 32ull * BLOCK) == TTRPC_OK &&
		      read(fd, got, sizeof(got) - 1) > 0 &&
		      strcmp(got, "0x1100000000x100000000") == 0,
	      "MemHotplugByProbe: each address as the kernel reads it: %s",
	      got);
	n = read(watch, events, sizeof(events));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(events + at);

		writes += e->mask & IN_MODIFY ? 1 : 0;
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	check(writes == 2, "MemHotplugByProbe: by a write of its own");
	close(fd);
	close(watch);
	/* Like a kernel without room for it. */
	need(unlink(in_guest(MEMORY "probe")) == 0 &&
		     mknod(in_guest(MEMORY "probe"), S_IFCHR | 0200,
			   makedev(1, 7)) == 0,
	     "probe");
	check(probe(32ull * BLOCK, 34ull * BLOCK) != TTRPC_OK &&
		      strstr(call_text, "0x100000000, after 0 of 2 blocks: "
					"No space left"),
	      "MemHotplugByProbe: what the kernel does not take");
}

static bool is_online(const char *path)
{
	char text[8] = "";
	int fd = open(in_guest(path), O_RDONLY | O_CLOEXEC);
	bool on = fd >= 0 && read(fd, text, sizeof(text)) > 0 && *text == '1';

	if (fd >= 0)
		close(fd);
	return on;
}

static void test_online(void)
{
	Agent__OnlineCpuMemRequest req = AGENT__ONLINE_CPU_MEM_REQUEST__INIT;

	put(in_guest(SYSTEM "/cpu/cpu1/online"), "0\n");
	put(in_guest(MEMORY "memory32/online"), "0\n");
	req.wait = true;
	req.nb_cpus = 2;
	req.cpu_only = true;
	check(call("OnlineCPUMem", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      is_online(SYSTEM "/cpu/cpu1/online") &&
		      !is_online(MEMORY "memory32/online"),
	      "OnlineCPUMem: processors alone");
	req.cpu_only = false;
	check(call("OnlineCPUMem", &req.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      is_online(MEMORY "memory32/online"),
	      "OnlineCPUMem: and memory");
}

/* An end of a process may leave its group a little after it is told. */
static bool group_goes(void)
{
	for (int i = 0; i < 2000; i++) {
		if (rmdir(GROUP) == 0)
			return true;
		if (errno != EBUSY)
			break;
		usleep(10000);
	}
	return false;
}

/* reboot(2) of a pid namespace ends its first process so. */
static void test_end(void)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;
	int status = 0;

	check(call("DestroySandbox", &empty.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "DestroySandbox");
	check(waitpid(agent, &status, 0) == agent && WIFSIGNALED(status) &&
		      WTERMSIG(status) == SIGINT,
	      "it switches its machine off");
	check(group_goes(), "no group is left");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: boot AGENT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	test_start(argv[1]);
	client_connect(in_guest("/run/agent.sock"));
	test_place();
	test_online();
	test_probe();
	test_machine();
	test_end();
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed != 0;
}

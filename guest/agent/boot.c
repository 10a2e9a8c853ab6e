/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/modules.h"

#define SYNC_LIMIT_MS 30000
#define FILES_MAX 1048576 /* fs.nr_open */
#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct {
	const char *target, *type, *data;
	unsigned long flags;
	bool needed;
} mounts[] = {
	{"/proc", "proc", NULL, SAFE, true},
	{"/sys", "sysfs", NULL, SAFE, true},
	{"/dev", "devtmpfs", "mode=0755", MS_NOSUID, true},
	{"/dev/pts", "devpts", "gid=5,mode=0620,ptmxmode=0666",
	 MS_NOSUID | MS_NOEXEC, true},
	{"/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, true},
	{"/dev/mqueue", "mqueue", NULL, SAFE, false},
	{"/run", "tmpfs", "mode=0755", MS_NOSUID | MS_NODEV, true},
	{"/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, true},
	{CGROUP_ROOT, "cgroup2", "nsdelegate,memory_recursiveprot", SAFE, true},
};

/*
 * pivot_root(2) refuses to leave the initramfs's own mount, which has no
 * parent. A bind mount of it moved over "/" has one, so containers can leave
 * that.
 */
static int leave_rootfs(struct err *err)
{
	if (mkdir("/.root", 0700) < 0 && errno != EEXIST)
		return err_sys(err, "mkdir /.root");
	if (mount("/", "/.root", NULL, MS_BIND, NULL) < 0)
		return err_sys(err, "bind /");
	if (chdir("/.root") < 0)
		return err_sys(err, "chdir /.root");
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return err_sys(err, "move /.root to /");
	if (chroot(".") < 0 || chdir("/") < 0)
		return err_sys(err, "chroot");
	(void)rmdir("/.root");
	return 0;
}

static int mount_all(struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		const char *data = mounts[i].data;
		int ret = mkdir_all(mounts[i].target, 0755);

		if (!ret && mount(mounts[i].type, mounts[i].target,
				  mounts[i].type, mounts[i].flags, data) < 0)
			ret = -errno;
		/* Options younger than the oldest kernel that will do. */
		if (ret == -EINVAL && strcmp(mounts[i].type, "cgroup2") == 0)
			ret = mount(mounts[i].type, mounts[i].target,
				    mounts[i].type, mounts[i].flags, NULL) < 0
				      ? -errno
				      : 0;
		if (ret < 0 && mounts[i].needed)
			return err_ret(err, ret, "mount %s", mounts[i].target);
		if (ret < 0)
			log_warn("mount %s: %s", mounts[i].target,
				 strerror(-ret));
	}
	return 0;
}

static void make_links(void)
{
	static const struct {
		const char *path, *target;
	} links[] = {
		{"/dev/ptmx", "pts/ptmx"},
		{"/dev/fd", "/proc/self/fd"},
		{"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		(void)unlink(links[i].path);
		if (symlink(links[i].target, links[i].path) < 0)
			log_warn("%s: %s", links[i].path, strerror(errno));
	}
}

/* The kernel opens the console only if the initramfs has its node. */
static void open_console(void)
{
	AUTO_FD int fd = -1;

	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return;
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	for (int i = 0; fd >= 0 && i < 3; i++) {
		if (fd != i && dup2(fd, i) < 0)
			return;
	}
	if (fd <= STDERR_FILENO)
		(void)steal_fd(&fd);
}

static void loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo"};
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) < 0) {
		log_warn("lo: %s", strerror(errno));
		return;
	}
	req.ifr_flags = (short)(req.ifr_flags | IFF_UP | IFF_RUNNING);
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		log_warn("lo: %s", strerror(errno));
}

/* Containers inherit it, and a kernel gives its first process 4096. */
static void raise_limits(void)
{
	const struct rlimit files = {FILES_MAX, FILES_MAX};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_warn("RLIMIT_NOFILE: %s", strerror(errno));
}

int boot_guest(struct err *err)
{
	AUTO_FD int cgroup = -1;
	int ret = leave_rootfs(err);

	if (!ret)
		ret = mount_all(err);
	if (ret < 0)
		return ret;
	open_console();
	make_links();
	modules_load_all();
	loopback_up();
	raise_limits();
	cgroup = open(CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup >= 0)
		cgroup_delegate(cgroup);
	if (setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0)
		return err_sys(err, "setenv");
	return 0;
}

/* For signal handlers, too. */
int boot_sync(unsigned limit_ms)
{
	struct pollfd end = {.events = POLLIN};
	pid_t pid = _Fork();
	int ret;

	if (pid == 0) {
		(void)tcdrain(STDERR_FILENO); /* a UART is slower than we are */
		sync();
		_exit(0);
	}
	end.fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0) {
		sync();
		return 0;
	}
	do {
		ret = poll(&end, 1, (int)limit_ms);
	} while (ret < 0 && errno == EINTR);
	close(end.fd);
	return ret > 0 ? 0 : -ETIMEDOUT;
}

void boot_power_off(void)
{
	static const char late[] = "nacre-agent: switching off before all is "
				   "written: a file system does not answer\n";

	if (boot_sync(SYNC_LIMIT_MS) < 0)
		(void)!write(STDERR_FILENO, late, sizeof(late) - 1);
	reboot(RB_POWER_OFF);
	/* Without a way to switch off, a panic is what ends the guest. */
	_exit(1);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	char line[128];
	int n = snprintf(line, sizeof(line),
			 "nacre-agent: ended by signal %d (%s) at %p: "
			 "switching off\n",
			 sig, sigabbrev_np(sig), info->si_addr);

	if (n > 0)
		(void)!write(STDERR_FILENO, line, (size_t)n);
	boot_power_off();
}

void boot_catch_faults(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS,  SIGILL,
				     SIGFPE,  SIGABRT, SIGSYS};
	struct sigaction sa = {
		.sa_sigaction = on_fault,
		.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND),
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		(void)sigaction(faults[i], &sa, NULL);
}

bool boot_option(const char *cmdline, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; *p;) {
		size_t word = strcspn(p, " \t\n");

		if (word > len && strncmp(p, name, len) == 0 && p[len] == '=') {
			size_t n = word - len - 1;

			if (n >= size)
				return false;
			memcpy(out, p + len + 1, n);
			out[n] = '\0';
			return true;
		}
		p += word;
		p += strspn(p, " \t\n");
	}
	return false;
}

bool boot_word(const char *cmdline, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; *p;) {
		size_t word = strcspn(p, " \t\n");

		if (word == len && strncmp(p, name, len) == 0)
			return true;
		p += word;
		p += strspn(p, " \t\n");
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/file.h"
#include "base/log.h"
#include "vmm/options.h"
#include "vmm/vmm.h"

/*
 * nacre-vmm: one virtual machine from the command line. Ends with the guest:
 * 0 when it powered off, 2 when it asked for a reset (a panic does), 1 when
 * something failed, 130 when it was interrupted.
 */

struct run {
	struct evloop *loop;
	struct vm *vm;
	struct evsource signals;
	int signal_fd;
	int status;
};

static void exited(void *arg, enum vm_exit_reason reason, const char *text)
{
	static const int status[] = {
		[VM_EXIT_SHUTDOWN] = 0,
		[VM_EXIT_RESET] = 2,
		[VM_EXIT_STOPPED] = 130,
		[VM_EXIT_ERROR] = 1,
	};
	struct run *run = arg;

	if (reason == VM_EXIT_ERROR)
		log_error("%s", text);
	else
		log_info("%s", text);
	run->status = status[reason];
	evloop_stop(run->loop);
}

static void console(void *arg, const void *data, size_t len)
{
	/* A reader that went away does not stop the guest. */
	if (write_full(STDOUT_FILENO, data, len) < 0)
		return;
}

static void interrupted(struct evsource *src, uint32_t revents)
{
	struct run *run = container_of(src, struct run, signals);
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) < 0)
		return;
	vm_stop(run->vm);
}

static int open_file(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "%s", path) : fd;
}

static int open_listener(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: too long for a socket",
			       path);
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "binding %s", path);
	if (listen(fd, 64) < 0)
		return err_sys(err, "listening on %s", path);
	return steal_fd(&fd);
}

static int open_tap(const char *name, struct err *err)
{
	AUTO_FD int fd = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK, err);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header = 12; /* struct virtio_net_hdr_v1 */

	if (fd < 0)
		return fd;
	if (strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, EINVAL, "tap %s: name too long", name);
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_sys(err, "tap %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "tap %s: TUNSETVNETHDRSZ", name);
	return steal_fd(&fd);
}

static int add_disk(struct vm *vm, const struct vmm_disk *disk, struct err *err)
{
	struct vm_blk_config config = {.readonly = disk->readonly};

	config.fd =
		open_file(disk->path, disk->readonly ? O_RDONLY : O_RDWR, err);
	if (config.fd < 0)
		return config.fd;
	return vm_add_blk(vm, &config, err);
}

static int add_net(struct vm *vm, const struct vmm_net *net, struct err *err)
{
	struct vm_net_config config = {0};

	memcpy(config.mac, net->mac, sizeof(config.mac));
	config.tap_fd = open_tap(net->tap, err);
	if (config.tap_fd < 0)
		return config.tap_fd;
	return vm_add_net(vm, &config, err);
}

static int add_devices(struct vm *vm, const struct vmm_options *o,
		       struct err *err)
{
	unsigned i;
	int ret = 0;

	if (o->console)
		ret = vm_add_console(vm, err);
	if (ret == 0 && o->rng)
		ret = vm_add_rng(vm, err);
	if (ret == 0 && o->vsock_cid) {
		int fd = open_listener(o->vsock_socket, err);

		ret = fd < 0 ? fd
			     : vm_add_vsock(vm, o->vsock_cid, fd,
					    o->vsock_socket, err);
	}
	for (i = 0; i < o->ndisks && ret == 0; i++)
		ret = add_disk(vm, &o->disks[i], err);
	for (i = 0; i < o->nnets && ret == 0; i++)
		ret = add_net(vm, &o->nets[i], err);
	return ret;
}

static int make_vm(struct run *run, const struct vmm_options *o,
		   struct err *err)
{
	AUTO_FD int kernel = open_file(o->kernel, O_RDONLY, err);
	AUTO_FD int initramfs = -1;
	struct vm_config config = {
		.machine = "kvm",
		.vcpus = o->cpus,
		.memory = o->memory,
		.huge_pages = o->thp,
		.cmdline = o->cmdline,
		.serial = o->serial,
		.loop = run->loop,
		.callbacks = {.exited = exited, .console = console, .arg = run},
	};

	if (kernel < 0)
		return kernel;
	if (o->initramfs) {
		initramfs = open_file(o->initramfs, O_RDONLY, err);
		if (initramfs < 0)
			return initramfs;
	}
	config.kernel_fd = steal_fd(&kernel);
	config.initramfs_fd = steal_fd(&initramfs);
	run->vm = vm_new(&config, err);
	return run->vm ? add_devices(run->vm, o, err) : -err->code;
}

static int watch_signals(struct run *run, struct err *err)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0)
		return err_sys(err, "signalfd");
	ret = evsource_add(run->loop, &run->signals, run->signal_fd, EPOLLIN,
			   interrupted);
	return ret < 0 ? err_ret(err, ret, "epoll") : 0;
}

static int run_vm(const struct vmm_options *o, struct err *err)
{
	struct run run = {.signal_fd = -1, .loop = evloop_new()};
	int ret;

	if (!run.loop)
		return err_sys(err, "event loop");
	ret = make_vm(&run, o, err);
	if (ret == 0)
		ret = watch_signals(&run, err);
	if (ret == 0)
		ret = vm_start(run.vm, err);
	if (ret == 0)
		ret = evloop_run(run.loop);
	vm_free(run.vm);
	evsource_del(&run.signals);
	if (run.signal_fd >= 0)
		close(run.signal_fd);
	if (o->vsock_cid && ret == 0)
		unlink(o->vsock_socket);
	evloop_free(run.loop);
	return ret < 0 ? ret : run.status;
}

int main(int argc, char **argv)
{
	struct vmm_options options;
	struct err err = {0};
	int ret = vmm_options_parse(&options, argc, argv, &err);

	log_open(STDERR_FILENO, LOG_TEXT,
		 ret == 0 && options.verbose ? LOG_DEBUG : LOG_WARN,
		 "nacre-vmm");
	if (ret == 0 && options.help)
		return fputs(vmm_options_usage, stdout) < 0;
	if (ret == 0 && options.version)
		return puts("nacre-vmm " NACRE_VERSION) < 0;
	if (ret == 0)
		ret = run_vm(&options, &err);
	if (ret >= 0)
		return ret;
	log_error("%s", err.text);
	return 1;
}

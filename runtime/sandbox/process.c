/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/landlock.h"
#include "base/log.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/file_watch.h"
#include "runtime/sandbox/jail.h"
#include "runtime/sandbox/seccomp.h"
#include "virtiofs/virtiofs.h"

#define GUEST_CID 3

/* The state of this process: there is one sandbox in it. */
struct running {
	const struct sandbox_params *params;
	struct evloop *loop;
	struct vm *vm;
	struct jail jail;
	int control;
	struct evsource control_src;
	struct file_watch files;
	bool file_handles; /* are opened */
};

static void report(struct running *r, enum control_type type, const char *text)
{
	/* Only the supervisor's reading matters; without it we end. */
	(void)!control_send(r->control, type, text, strlen(text));
}

static void on_exited(void *arg, enum vm_exit_reason reason, const char *text)
{
	struct running *r = arg;

	report(r, CONTROL_EXITED, text);
	evloop_stop(r->loop);
}

static void on_console(void *arg, const void *data, size_t len)
{
	struct running *r = arg;

	/* A flood is dropped, not waited for: the console is for people. */
	(void)!control_send(r->control, CONTROL_CONSOLE, data, len);
}

/* Whether a vCPU's thread does. User-mode Linux has none here. */
static bool serves_files(const struct running *r)
{
	const struct config *config = r->params->config;

	return config->virtio_fs_on_vcpus && config->virtio_fs_workers > 0 &&
	       strcmp(r->params->machine, "uml") != 0;
}

static int on_thread(void *arg, const char *name)
{
	struct running *r = arg;
	enum seccomp_kind kind = SECCOMP_FILES;
	sigset_t refused;
	int ret = 0;

	if (!strncmp(name, "vcpu", 4))
		kind = serves_files(r) ? SECCOMP_VCPU_FILES : SECCOMP_VCPU;
	if (kind == SECCOMP_VCPU)
		ret = jail_drop_thread();
	if (ret < 0 || r->params->config->disable_seccomp)
		return ret;
	/* A SIGSYS that is blocked kills without a word. */
	sigemptyset(&refused);
	sigaddset(&refused, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &refused, NULL);
	return seccomp_install(kind);
}

static void on_control(struct evsource *src, uint32_t revents)
{
	struct running *r = container_of(src, struct running, control_src);
	struct control_message m;
	int ret = control_receive(r->control, &m);

	if (ret == -EAGAIN)
		return;
	/* It is gone, and without it there is no sandbox. */
	if (ret <= 0 || !file_watch_message(&r->files, &m))
		_exit(1);
}

static int open_image(const char *what, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "%s %s", what, path) : fd;
}

/*
 * Each line on the console costs the guest a round trip to us, a tenth of its
 * start together. Errors and panics are printed all the same.
 */
static char *kernel_cmdline(const struct config *config)
{
	char *text;

	if (asprintf(&text, "%s%s", config->enable_debug ? "" : "quiet ",
		     config->kernel_params) < 0)
		return NULL;
	return text;
}

static int make_vm(struct running *r, struct err *err)
{
	const struct config *config = r->params->config;
	AUTO_FREE char *cmdline = kernel_cmdline(config);
	bool uml = !strcmp(r->params->machine, "uml");
	struct vm_config vm = {
		.machine = r->params->machine,
		.vcpus = r->params->vcpus,
		.memory = r->params->memory,
		.huge_pages = config->transparent_hugepages,
		.cmdline = cmdline,
		.device_fd = r->params->device_fd,
		.loop = r->loop,
		.callbacks =
			{
				.exited = on_exited,
				.console = on_console,
				.thread_started = on_thread,
				.arg = r,
			},
	};

	if (!cmdline)
		return err_set(err, ENOMEM, "out of memory");
	vm.kernel_fd = open_image(
		"kernel", uml ? config->uml_kernel : config->kernel, err);
	if (vm.kernel_fd < 0)
		return vm.kernel_fd;
	vm.initramfs_fd = open_image("initrd", config->initrd, err);
	if (vm.initramfs_fd < 0) {
		close(vm.kernel_fd);
		return vm.initramfs_fd;
	}
	vm.unsafe_uml_kernel = config->unsafe_stock_uml_kernel;
	r->vm = vm_new(&vm, err);
	return r->vm ? 0 : -err->code;
}

/* Which of names, of key, word is; the configuration has been checked. */
static unsigned word_of(const char *key, const char *word,
			const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(names[i], word))
			return i;
	BUG("%s \"%s\"", key, word);
}

static enum virtiofs_cache cache_of(const struct config *config)
{
	static const char *const names[] = {
		[VIRTIOFS_CACHE_NEVER] = "never",
		[VIRTIOFS_CACHE_AUTO] = "auto",
		[VIRTIOFS_CACHE_METADATA] = "metadata",
		[VIRTIOFS_CACHE_ALWAYS] = "always",
	};

	return (enum virtiofs_cache)word_of("virtio_fs_cache",
					    config->virtio_fs_cache, names,
					    ARRAY_SIZE(names));
}

static enum virtiofs_file_handles handles_of(const struct config *config)
{
	static const char *const names[] = {
		[VIRTIOFS_HANDLES_NEVER] = "never",
		[VIRTIOFS_HANDLES_PREFER] = "prefer",
		[VIRTIOFS_HANDLES_MANDATORY] = "mandatory",
	};

	return (enum virtiofs_file_handles)word_of(
		"virtio_fs_inode_file_handles",
		config->virtio_fs_inode_file_handles, names, ARRAY_SIZE(names));
}

/* Without it, the guest has its files all the same. */
static void watch_files(struct running *r)
{
	AUTO_FD int root = fcntl(r->jail.shared_fd, F_DUPFD_CLOEXEC, 0);
	AUTO_FD int proc = fcntl(r->jail.proc_fd, F_DUPFD_CLOEXEC, 0);
	struct fs_watch_config config = {
		.loop = r->loop,
		.limit = r->params->config->file_events_limit,
	};
	struct err err;
	int ret;

	if (root < 0 || proc < 0) {
		ret = err_sys(&err, "file events");
	} else {
		config.root_fd = steal_fd(&root);
		config.proc_fd = steal_fd(&proc);
		ret = file_watch_init(&r->files, r->control, &config, &err);
	}
	if (ret < 0)
		report(r, CONTROL_LOG, err.text);
}

static int add_share(struct running *r, struct err *err)
{
	const struct config *config = r->params->config;
	bool events = strcmp(config->file_events, "none") != 0;
	struct virtiofs_config fs = {
		.root_fd = -1,
		.proc_fd = -1,
		.tag = SANDBOX_SHARE_TAG,
		.cache = cache_of(config),
		.xattr = true,
		.posix_acl = true,
		.announce_submounts = true,
		.writeback = config->virtio_fs_writeback,
		.file_handles = handles_of(config),
		.workers = config->virtio_fs_workers,
		.request_queues = config->virtio_fs_request_queues,
		.vcpus = serves_files(r),
		.dax_size = (uint64_t)config->virtio_fs_cache_size << 20,
		.replay = events,
		.other_fds = events ? config->file_events_limit : 0,
		.thread_started = on_thread,
		.arg = r,
	};
	struct virtio_device *dev;

	if (events)
		watch_files(r);
	fs.root_fd = steal_fd(&r->jail.shared_fd);
	fs.proc_fd = steal_fd(&r->jail.proc_fd);
	if (fs.writeback && (fs.cache == VIRTIOFS_CACHE_NEVER ||
			     fs.cache == VIRTIOFS_CACHE_METADATA))
		return err_set(err, EINVAL,
			       "virtio_fs_writeback: does not go with "
			       "virtio_fs_cache \"%s\", which caches no data",
			       config->virtio_fs_cache);
	if (fs.dax_size && !strcmp(r->params->machine, "uml"))
		return err_set(err, ENOTSUP,
			       "virtio_fs_cache_size: the uml machine has no "
			       "DAX");
	dev = virtiofs_device_new(&fs, err);
	if (!dev)
		return -err->code;
	r->file_handles = virtiofs_device_has_handles(dev);
	return vm_add_device(r->vm, dev, err);
}

static int add_devices(struct running *r, struct err *err)
{
	const struct sandbox_params *p = r->params;
	int ret = 0;

	/* User-mode Linux has a console without virtio, and the host's
	 * getrandom(2); each device is a tenth of its start. */
	if (strcmp(p->machine, "uml") != 0) {
		ret = vm_add_console(r->vm, err);
		if (!ret)
			ret = vm_add_rng(r->vm, err);
	}
	if (!ret)
		ret = vm_add_vsock(r->vm, GUEST_CID, p->vsock_fd, "vsock.sock",
				   err);
	if (!ret)
		ret = add_share(r, err);
	for (unsigned i = 0; !ret && i < p->nnets; i++)
		ret = vm_add_net(r->vm, &p->nets[i], err);
	return ret;
}

static int confine_paths(const struct running *r, struct err *err)
{
	AUTO_FD int shared = -1;

	/* Landlock asks for the path to a file, which one that was opened by
	 * its handle need not have. */
	if (r->file_handles)
		return 0;
	shared = open("/shared", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return shared < 0 ? err_sys(err, "jail: /shared")
			  : landlock_confine(shared, err);
}

static int lock_down(struct running *r, struct err *err)
{
	int ret = jail_enter(&r->jail, err);

	if (!ret)
		ret = jail_drop_privileges(r->file_handles, err);
	if (!ret)
		ret = confine_paths(r, err);
	if (ret < 0 || r->params->config->disable_seccomp)
		return ret;
	ret = seccomp_prepare(r->file_handles, err);
	if (ret < 0)
		return ret;
	seccomp_report_to(r->control);
	ret = seccomp_install(SECCOMP_LOOP);
	return ret < 0 ? err_ret(err, ret, "seccomp") : 0;
}

static int start(struct running *r, struct err *err)
{
	int ret = jail_build(&r->jail, r->params->dir, err);

	if (ret < 0)
		return ret;
	r->loop = evloop_new();
	if (!r->loop)
		return err_sys(err, "event loop");
	ret = evsource_add(r->loop, &r->control_src, r->control, EPOLLIN,
			   on_control);
	if (ret < 0)
		return err_ret(err, ret, "event loop");
	ret = make_vm(r, err);
	if (!ret)
		ret = add_devices(r, err);
	if (!ret)
		ret = lock_down(r, err);
	if (ret < 0)
		return ret;
	report(r, CONTROL_READY, "");
	return vm_start(r->vm, err);
}

/* All of the supervisor's descriptors but those that params names. */
static void close_others(const struct sandbox_params *p, int control)
{
	AUTO_DIR DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);
		bool keep = entry->d_name[0] == '.' || fd <= 2 ||
			    fd == dirfd(dir) || fd == control ||
			    fd == p->vsock_fd || fd == p->device_fd;

		for (unsigned i = 0; i < p->nnets; i++)
			keep = keep || fd == p->nets[i].tap_fd;
		if (!keep)
			close(fd);
	}
}

static void NORETURN sandbox_main(const struct sandbox_params *params,
				  int control)
{
	struct running r = {.params = params, .control = control};
	struct err err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "nacre-sandbox");
	prctl(PR_SET_DUMPABLE, 0);
	log_open(-1, LOG_TEXT, LOG_ERROR, "nacre");
	close_others(params, control);
	if (start(&r, &err) < 0) {
		report(&r, CONTROL_FAILED, err.text);
		_exit(1);
	}
	evloop_run(r.loop);
	/* The kernel takes the rest apart faster than we could. */
	_exit(0);
}

/* fork(2) into new namespaces, with a pidfd. glibc's fork handlers are not
 * run: the supervisor has one thread. */
static pid_t clone_process(int cgroup_fd, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_NEWNET | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};

	/* Born in it, so that nothing it forks is ever outside. */
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int sandbox_process_start(struct sandbox_process *process,
			  const struct sandbox_params *params, struct err *err)
{
	int pair[2];

	*process =
		(struct sandbox_process){.pid = -1, .pidfd = -1, .control = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "control socket");
	process->pid = clone_process(params->cgroup_fd, &process->pidfd);
	if (process->pid == 0)
		sandbox_main(params, pair[1]);
	close(pair[1]);
	if (process->pid < 0) {
		int ret = err_sys(err, "clone of the sandbox process");

		close(pair[0]);
		return ret;
	}
	process->control = pair[0];
	return 0;
}

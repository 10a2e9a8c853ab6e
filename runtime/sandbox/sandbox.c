/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/unix_address.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/host_cgroup.h"
#include "runtime/state.h"

struct sandbox *sandbox_new(const struct supervisor_args *args, struct err *err)
{
	struct sandbox *s = calloc(1, sizeof(*s));

	if (s && asprintf(&s->dir, "%s/%s", args->root, args->id) < 0)
		s->dir = NULL;
	if (!s || !s->dir) {
		free(s);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	s->args = args;
	s->dial.fd = -1;
	s->vmm = (struct sandbox_process){-1, -1, -1};
	console_init(&s->console, args->config->enable_debug);
	s->loop = evloop_new();
	if (!s->loop) {
		err_sys(err, "event loop");
		sandbox_free(s);
		return NULL;
	}
	return s;
}

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	sandbox_destroy(s);
	ttrpc_server_free(s->server);
	evtimer_release(&s->idle);
	evloop_free(s->loop);
	free(s->dir);
	free(s);
}

/* The VM is over. -------------------------------------------------------- */

static void end_processes(struct sandbox *s)
{
	for (struct container *c = s->containers; c; c = c->next)
		for (struct process *p = c->processes; p; p = p->next)
			if (c->created_in_guest &&
			    p->state != PROCESS_STOPPED) {
				p->lost = true;
				process_ended(p, STATUS_VM_GONE, 0);
			}
}

void sandbox_died(struct sandbox *s, const char *reason)
{
	bool starting = s->phase == SANDBOX_STARTING;
	struct ttrpc_client *agent = steal_ptr(&s->agent);

	if (s->phase == SANDBOX_DEAD)
		return;
	s->phase = SANDBOX_DEAD;
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	log_line(s->closing ? LOG_DEBUG : LOG_ERROR, "sandbox %s: %s",
		 s->args->id, s->reason);
	setup_abort(s);
	events_abort(s);
	file_events_abort(s);
	/* Ends every call under way, which forget their owners here. */
	ttrpc_client_free(agent);
	if (s->vmm.pidfd >= 0)
		syscall(SYS_pidfd_send_signal, s->vmm.pidfd, SIGKILL, NULL, 0);
	end_processes(s);
	if (starting)
		s->on_ready(s, -EIO);
}

static void on_vmm_exit(struct evsource *src, uint32_t revents)
{
	struct sandbox *s = container_of(src, struct sandbox, vmm_src);
	char reason[64] = "the sandbox process ended";
	siginfo_t info = {0};

	evsource_del(&s->vmm_src);
	waitid(P_PIDFD, (id_t)s->vmm.pidfd, &info, WEXITED);
	if (info.si_code != CLD_EXITED)
		snprintf(reason, sizeof(reason),
			 "the sandbox process was killed by signal %d",
			 info.si_status);
	s->vmm.pid = -1;
	sandbox_died(s, reason);
}

/* With what the guest said of its end. */
static void guest_died(struct sandbox *s, const char *why)
{
	char reason[ERR_TEXT_MAX];

	snprintf(reason, sizeof(reason), "%.200s%s%.200s", why,
		 s->console.panic[0] ? ": " : "", s->console.panic);
	sandbox_died(s, reason);
}

static void on_message(struct sandbox *s, const struct control_message *m)
{
	switch (m->type) {
	case CONTROL_READY:
		if (log_allowed(&s->limit, 10))
			log_debug("step: guest starts");
		break;
	case CONTROL_FAILED:
		sandbox_died(s, m->text);
		break;
	case CONTROL_EXITED:
		guest_died(s, m->text);
		break;
	case CONTROL_CONSOLE:
		console_feed(&s->console, m->text, m->len);
		setup_hint(s);
		break;
	case CONTROL_LOG:
		if (log_allowed(&s->limit, 10))
			log_info("sandbox process: %s", m->text);
		break;
	case CONTROL_FILE_EVENTS:
		if (!file_events_message(s, m->text, m->len))
			sandbox_died(s, "the sandbox process broke its "
					"protocol");
		break;
	default:
		sandbox_died(s, "the sandbox process broke its protocol");
	}
}

static void on_control(struct evsource *src, uint32_t revents)
{
	struct sandbox *s = container_of(src, struct sandbox, control_src);
	struct control_message m;

	/* A few at a time, so that a chatty guest starves nobody. */
	for (int i = 0; i < 16; i++) {
		int ret = control_receive(src->fd, &m);

		if (ret == -EAGAIN)
			return;
		if (ret == -EPROTO)
			sandbox_died(s, "the sandbox process broke its "
					"protocol");
		if (ret <= 0) {
			evsource_del(src);
			return;
		}
		on_message(s, &m);
	}
}

void sandbox_agent_lost(struct sandbox *s)
{
	/* The last of the console, and why it is over, may wait to be read. */
	if (s->control_src.loop)
		on_control(&s->control_src, EPOLLIN);
	guest_died(s, "the agent closed its connection");
}

/* The VM starts. --------------------------------------------------------- */

/* A tmpfs of mount points; shared, so that what is bound into it later
 * reaches the sandbox process. */
static int make_tree(struct sandbox *s, struct err *err)
{
	static const char *const dirs[] = {"shared", "jail", "vsock"};
	AUTO_FREE char *shared = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		AUTO_FREE char *path = NULL;

		if (asprintf(&path, "%s/%s", s->dir, dirs[i]) < 0) {
			path = NULL;
			return err_set(err, ENOMEM, "out of memory");
		}
		if (mkdir(path, 0755) < 0)
			return err_sys(err, "mkdir %s", path);
	}
	if (asprintf(&shared, "%s/shared", s->dir) < 0) {
		shared = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (mount("nacre", shared, "tmpfs", MS_NODEV | MS_NOSUID,
		  "size=1m,mode=755") < 0 ||
	    mount(NULL, shared, NULL, MS_SHARED, NULL) < 0)
		return err_sys(err, "mount %s", shared);
	return 0;
}

int sandbox_listen(const struct sandbox *s, const char *name, struct err *err)
{
	AUTO_FD int dir = open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un addr = unix_address(dir, name);
	AUTO_FD int fd = -1;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (dir < 0 || fd < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 128) < 0)
		return err_sys(err, "socket %s/%s", s->dir, name);
	return steal_fd(&fd);
}

static const char *choose_machine(const struct config *config, struct err *err)
{
	if (strcmp(config->machine, "auto"))
		return config->machine;
	return vm_auto_machine(err);
}

static int start_process(struct sandbox *s, struct err *err)
{
	const struct config *config = s->args->config;
	struct sandbox_params p = {
		.config = config,
		.dir = s->dir,
		.machine = choose_machine(config, err),
		.memory = s->size.vm_memory,
		.vcpus = s->size.vcpus,
		.nnets = s->network.net.count,
	};
	AUTO_FD int cgroup = -1;
	AUTO_FD int device = -1;
	AUTO_FD int vsock = -1;
	int ret;

	if (!p.machine)
		return -err->code;
	/* Before it is in a cgroup: an engine's may deny it all devices. */
	ret = vm_open_device(p.machine, &device, err);
	if (ret < 0)
		return ret;
	p.device_fd = device;
	if (strcmp(p.machine, "kvm"))
		p.vcpus = config->default_vcpus;
	vsock = sandbox_listen(s, "vsock/vsock.sock", err);
	if (vsock < 0)
		return vsock;
	p.vsock_fd = vsock;
	if (s->cgroup) {
		cgroup = open(s->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (cgroup < 0)
			return err_sys(err, "cgroup %s", s->cgroup);
	}
	p.cgroup_fd = cgroup;
	for (unsigned i = 0; i < p.nnets; i++) {
		const struct netns_interface *from =
			&s->network.net.interfaces[i];

		p.nets[i].tap_fd = from->tap_fd;
		p.nets[i].mtu = (uint16_t)MIN(from->mtu, 65535u);
		memcpy(p.nets[i].mac, from->mac, sizeof(p.nets[i].mac));
	}
	ret = sandbox_process_start(&s->vmm, &p, err);
	network_close_taps(&s->network); /* they are the sandbox's now */
	return ret;
}

static int watch_process(struct sandbox *s, struct err *err)
{
	int ret = evsource_add(s->loop, &s->vmm_src, s->vmm.pidfd, EPOLLIN,
			       on_vmm_exit);

	if (!ret)
		ret = evsource_add(s->loop, &s->control_src, s->vmm.control,
				   EPOLLIN, on_control);
	return ret < 0 ? err_ret(err, ret, "event loop") : 0;
}

static int make_host_cgroup(struct sandbox *s, struct err *err)
{
	int ret = s->cgroup ? host_cgroup_make(s->cgroup, err) : 0;

	if (ret < 0 || !s->cgroup)
		return ret;
	return host_cgroup_limit(s->cgroup, &s->size.limits,
				 s->size.host_memory, err);
}

/* Written down before it is made, so that no kill leaves it behind. */
static int make_host_resources(struct sandbox *s, struct container *first,
			       struct err *err)
{
	int ret = sandbox_size(&s->size, first->spec, s->args->config, err);

	if (!ret)
		ret = host_cgroup_plan(first->spec, s->args->id,
				       s->args->systemd_cgroup, &s->cgroup,
				       err);
	if (!ret)
		ret = network_plan(&s->network, first->spec, s->dir,
				   s->args->config->internetworking_model, err);
	if (!ret)
		ret = container_save_early(first, err);
	if (!ret)
		ret = make_host_cgroup(s, err);
	if (!ret)
		ret = network_attach(&s->network, err);
	return ret;
}

int sandbox_boot(struct sandbox *s, struct container *first, struct err *err)
{
	int ret = make_host_resources(s, first, err);

	if (!ret) {
		log_debug("step: network attached");
		ret = make_tree(s, err);
	}
	if (!ret)
		ret = start_process(s, err);
	if (!ret)
		ret = watch_process(s, err);
	if (ret < 0)
		return ret;
	s->phase = SANDBOX_STARTING;
	return setup_start(s, first, err);
}

static void unmount_shared(struct sandbox *s)
{
	AUTO_FREE char *shared = NULL;

	if (asprintf(&shared, "%s/shared", s->dir) < 0) {
		shared = NULL;
		return;
	}
	if (umount2(shared, MNT_DETACH) < 0 && errno != EINVAL &&
	    errno != ENOENT)
		log_warn("unmount %s: %s", shared, strerror(errno));
}

static void end_process(struct sandbox *s)
{
	if (s->vmm.pid > 0 && s->vmm.pidfd >= 0) {
		siginfo_t info;

		syscall(SYS_pidfd_send_signal, s->vmm.pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)s->vmm.pidfd, &info, WEXITED);
		s->vmm.pid = -1;
	}
	if (s->vmm.pidfd >= 0)
		close(steal_fd(&s->vmm.pidfd));
	if (s->vmm.control >= 0)
		close(steal_fd(&s->vmm.control));
}

void sandbox_destroy(struct sandbox *s)
{
	struct ttrpc_client *agent = steal_ptr(&s->agent);
	int ret;

	s->phase = SANDBOX_DEAD;
	setup_abort(s);
	events_abort(s);
	file_events_abort(s);
	ttrpc_client_free(agent);
	while (s->containers)
		container_free(s->containers);
	evsource_del(&s->vmm_src);
	evsource_del(&s->control_src);
	end_process(s);
	unmount_shared(s);
	network_detach(&s->network);
	if (s->cgroup) {
		ret = host_cgroup_remove(s->cgroup);
		if (ret < 0)
			log_warn("cgroup %s: %s", s->cgroup, strerror(-ret));
		free(steal_ptr(&s->cgroup));
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/uml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/vhost_user.h"

#define CONSOLE_CHUNK 4096u
/* What a socket holds when its writer is gone is less. */
#define CONSOLE_REST_MAX (1u << 20)

struct uml {
	struct machine base;
	struct uml_spawner spawner;
	struct evsource control;
	struct evsource console;
	int console_fd;
	unsigned ndevices;
	struct vhost_user *devices[VM_DEVICES_MAX];
};

static struct uml *to_uml(struct machine *m)
{
	return container_of(m, struct uml, base);
}

/* The console. ----------------------------------------------------------- */

/* Bytes read; 0: nothing there, or the end. */
static size_t read_console(struct uml *u)
{
	char buf[CONSOLE_CHUNK];
	ssize_t n;

	do
		n = recv(u->console_fd, buf, sizeof(buf), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		vm_console_output(u->base.vm, buf, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		evsource_del(&u->console);
	return n > 0 ? (size_t)n : 0;
}

/* One chunk at a time: the rest makes the source ready again. */
static void console_ready(struct evsource *src, uint32_t revents)
{
	read_console(container_of(src, struct uml, console));
}

/* The spawner. ----------------------------------------------------------- */

static void report(struct uml *u, int status)
{
	struct vm *vm = u->base.vm;
	size_t rest = 0, n;

	/* The last words come before the end. */
	do
		rest += n = read_console(u);
	while (n > 0 && rest < CONSOLE_REST_MAX);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		vm_exited(vm, VM_EXIT_SHUTDOWN, "the guest powered off");
	else if (WIFEXITED(status))
		vm_exited(vm, VM_EXIT_ERROR,
			  "the guest kernel's process ended with status %d",
			  WEXITSTATUS(status));
	else if (WTERMSIG(status) == SIGABRT)
		vm_exited(vm, VM_EXIT_RESET, "the guest kernel panicked");
	else
		vm_exited(vm, VM_EXIT_ERROR,
			  "the guest kernel's process was killed by signal %d "
			  "(%s)",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
}

/* Of one received message; ret: what uml_receive said. */
static void spawner_said(struct uml *u, const struct uml_message *m, int ret)
{
	struct vm *vm = u->base.vm;

	if (ret <= 0) {
		evsource_del(&u->control);
		vm_exited(vm, VM_EXIT_ERROR,
			  "the guest's init process was "
			  "killed");
	} else if (m->type == UML_EXITED) {
		report(u, m->value);
	} else if (m->type == UML_FAILED) {
		vm_exited(vm, VM_EXIT_ERROR, "%s", m->text);
	}
}

static void control_ready(struct evsource *src, uint32_t revents)
{
	struct uml *u = container_of(src, struct uml, control);
	struct uml_message m;
	AUTO_FD int fd = -1;
	int ret = uml_receive(src->fd, &m, &fd, MSG_DONTWAIT);

	if (ret != -EAGAIN)
		spawner_said(u, &m, ret);
}

/* The spawner answers at once; it never waits for the guest. */
static int request(struct uml *u, enum uml_message_type type, struct err *err)
{
	int ret;

	if (u->spawner.control < 0)
		return err_set(err, ESRCH, "the machine is over");
	ret = uml_send(u->spawner.control, type, 0, NULL, -1);
	while (ret == 0) {
		struct uml_message m;
		AUTO_FD int fd = -1;

		ret = uml_receive(u->spawner.control, &m, &fd, 0);
		if (ret == 1 && m.type == UML_DONE)
			return 0;
		spawner_said(u, &m, ret);
		if (ret <= 0 || m.type == UML_EXITED)
			return err_set(err, ESRCH, "the machine is over");
		ret = 0;
	}
	/* Its last message is there for control_ready() to read. */
	return err_set(err, ESRCH, "the machine is over");
}

/* The machine. ----------------------------------------------------------- */

static void stop(struct machine *m)
{
	struct uml *u = to_uml(m);

	/* Its end is the spawner's. */
	evsource_del(&u->control);
	if (u->spawner.control >= 0)
		close(steal_fd(&u->spawner.control));
}

static void destroy(struct machine *m)
{
	struct uml *u = to_uml(m);

	stop(m);
	uml_spawner_end(&u->spawner);
	evsource_del(&u->console);
	if (u->console_fd >= 0)
		close(u->console_fd);
	for (unsigned i = 0; i < u->ndevices; i++)
		vhost_user_free(u->devices[i]);
	free(u);
}

static int check(struct vm *vm, struct err *err)
{
	const struct vm_config *config = &vm->config;
	int ret;

	if (config->vcpus != 1)
		return err_set(err, EINVAL, "one vCPU, default_vcpus is %u",
			       config->vcpus);
	ret = uml_check_cmdline(vm->cmdline, err);
	if (!ret)
		ret = uml_check_kernel(config->kernel_fd,
				       config->unsafe_uml_kernel, err);
	if (ret < 0)
		return ret;
	ret = uml_executable(steal_fd(&vm->config.kernel_fd), err);
	vm->config.kernel_fd = ret;
	return ret < 0 ? ret : 0;
}

static int spawn(struct uml *u, struct err *err)
{
	struct vm *vm = u->base.vm;
	struct uml_guest guest = {
		.kernel_fd = vm->config.kernel_fd,
		.initramfs_fd = vm->config.initramfs_fd,
		.memory = vm->config.memory,
		.cmdline = vm->cmdline,
	};
	int pair[2], ret;

	/* Physical addresses of the guest are offsets in the file. */
	ret = guestmem_add_new(&vm->mem, 0, vm->config.memory, err);
	if (ret < 0)
		return ret;
	guest.memory_fd = vm->mem.regions[0].fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	u->console_fd = pair[0];
	guest.console_fd = pair[1];
	ret = uml_spawner_start(&u->spawner, &guest, err);
	close(pair[1]);
	if (ret < 0)
		return ret;
	ret = evsource_add(vm->config.loop, &u->console, u->console_fd, EPOLLIN,
			   console_ready);
	if (!ret)
		ret = evsource_add(vm->config.loop, &u->control,
				   u->spawner.control, EPOLLIN, control_ready);
	return ret < 0 ? err_ret(err, ret, "event loop") : 0;
}

static struct machine *create(struct vm *vm, struct err *err)
{
	struct uml *u;

	if (check(vm, err) < 0)
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	u->base = (struct machine){.ops = &uml_machine_ops, .vm = vm};
	u->spawner = (struct uml_spawner){-1, -1};
	u->console_fd = -1;
	if (spawn(u, err) == 0)
		return &u->base;
	destroy(&u->base);
	return NULL;
}

static int plug(struct machine *m, struct virtio_device *dev, struct err *err)
{
	struct uml *u = to_uml(m);
	const struct vhost_user_options options = {
		.memory_fd = m->vm->mem.regions[0].fd,
	};
	AUTO_FD int theirs = -1;
	int pair[2], ret;

	if (dev->window)
		return err_set(err, ENOTSUP,
			       "a memory window (DAX): not supported by the "
			       "uml machine");
	if (u->spawner.control < 0)
		return err_set(err, ESRCH, "the machine is over");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	theirs = pair[1];
	u->devices[u->ndevices] =
		vhost_user_new(m->vm->config.loop, dev, pair[0], &options, err);
	if (!u->devices[u->ndevices])
		return -err->code;
	ret = uml_send(u->spawner.control, UML_DEVICE, dev->ops->id, NULL,
		       theirs);
	if (ret < 0) {
		vhost_user_free(u->devices[u->ndevices]);
		return err_ret(err, ret, "spawner");
	}
	u->ndevices++;
	return 0;
}

static int start(struct machine *m, struct err *err)
{
	struct uml *u = to_uml(m);
	int ret;

	if (u->spawner.control < 0)
		return err_set(err, ESRCH, "the machine is over");
	ret = uml_send(u->spawner.control, UML_START, 0, NULL, -1);
	return ret < 0 ? err_ret(err, ret, "spawner") : 0;
}

static int pause_machine(struct machine *m, struct err *err)
{
	return request(to_uml(m), UML_PAUSE, err);
}

static int resume(struct machine *m, struct err *err)
{
	return request(to_uml(m), UML_RESUME, err);
}

const struct machine_ops uml_machine_ops = {
	.name = "uml",
	.probe = uml_probe,
	.create = create,
	.plug = plug,
	.start = start,
	.pause = pause_machine,
	.resume = resume,
	.stop = stop,
	.destroy = destroy,
};

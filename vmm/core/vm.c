/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/virtio/device.h"

#define MIB (1024ull * 1024)
#define MEMORY_UNIT (2 * MIB)
#define MEMORY_MIN (64 * MIB)
/* Below the 40 bits of the smallest processors' physical addresses. */
#define MEMORY_MAX (512 * 1024 * MIB)

static int check_config(const struct vm_config *config, struct err *err)
{
	if (config->vcpus < 1 || config->vcpus > VM_VCPUS_MAX)
		return err_set(err, EINVAL, "%u vCPUs: 1 to %u can be had",
			       config->vcpus, VM_VCPUS_MAX);
	if (config->memory % MEMORY_UNIT || config->memory < MEMORY_MIN ||
	    config->memory > MEMORY_MAX)
		return err_set(err, EINVAL,
			       "memory of %llu bytes: not a multiple of 2 MiB "
			       "from 64 MiB to 512 GiB",
			       (unsigned long long)config->memory);
	if (config->kernel_fd < 0)
		return err_set(err, EINVAL, "no kernel");
	return 0;
}

static int create(struct vm *vm, const char *name, struct err *err)
{
	const struct machine_ops *ops = machine_find(name);

	if (!ops)
		return err_set(err, EINVAL, "unknown machine \"%s\"", name);
	vm->machine = ops->create(vm, err);
	if (!vm->machine)
		return err_wrap(err, "machine %s", ops->name);
	vm->config.machine = ops->name;
	return 0;
}

struct vm *vm_new(const struct vm_config *config, struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		err_set(err, ENOMEM, "out of memory");
		if (config->kernel_fd >= 0)
			close(config->kernel_fd);
		if (config->initramfs_fd >= 0)
			close(config->initramfs_fd);
		if (config->device_fd > 0)
			close(config->device_fd);
		return NULL;
	}
	vm->config = *config;
	vm->config.cmdline = NULL;
	guestmem_init(&vm->mem);
	pthread_mutex_init(&vm->exit_lock, NULL);
	vm->cmdline = strdup(config->cmdline ? config->cmdline : "");
	if (!vm->cmdline) {
		err_set(err, ENOMEM, "out of memory");
		vm_free(vm);
		return NULL;
	}
	vm->config.cmdline = vm->cmdline;
	if (check_config(config, err) < 0 ||
	    create(vm, config->machine, err) < 0) {
		vm_free(vm);
		return NULL;
	}
	return vm;
}

static bool exit_done(void *arg)
{
	const struct vm *vm = arg;

	return vm->exit_ran;
}

void vm_free(struct vm *vm)
{
	unsigned i;

	if (!vm)
		return;
	vm->freeing = true;
	if (vm->machine)
		vm->machine->ops->destroy(vm->machine);
	/* No thread is left; a post that one left behind must not stay. */
	if (vm->exit_reported)
		evloop_serve(vm->config.loop, exit_done, vm);
	for (i = 0; i < vm->ndevices; i++)
		virtio_device_free(vm->devices[i]);
	guestmem_release(&vm->mem);
	if (vm->config.kernel_fd >= 0)
		close(vm->config.kernel_fd);
	if (vm->config.initramfs_fd >= 0)
		close(vm->config.initramfs_fd);
	if (vm->config.device_fd > 0)
		close(vm->config.device_fd);
	pthread_mutex_destroy(&vm->exit_lock);
	free(vm->cmdline);
	free(vm);
}

int vm_add_device(struct vm *vm, struct virtio_device *dev, struct err *err)
{
	int ret;

	if (vm->started)
		ret = err_set(err, EBUSY, "the machine runs already");
	else if (vm->ndevices == VM_DEVICES_MAX)
		ret = err_set(err, ENOSPC, "more than %u devices",
			      VM_DEVICES_MAX);
	else
		ret = 0;
	if (ret == 0) {
		dev->loop = vm->config.loop;
		dev->mem = &vm->mem;
		ret = vm->machine->ops->plug(vm->machine, dev, err);
	}
	if (ret < 0) {
		err_wrap(err, "virtio-%s", dev->ops->name);
		virtio_device_free(dev);
		return ret;
	}
	vm->devices[vm->ndevices++] = dev;
	return 0;
}

int vm_start(struct vm *vm, struct err *err)
{
	if (vm->started)
		return err_set(err, EBUSY, "the machine runs already");
	vm->started = true;
	return vm->machine->ops->start(vm->machine, err);
}

static int check_running(const struct vm *vm, struct err *err)
{
	if (!vm->started)
		return err_set(err, EINVAL, "the machine was not started");
	if (vm->exit_ran)
		return err_set(err, ESRCH, "the machine is over");
	return 0;
}

int vm_pause(struct vm *vm, struct err *err)
{
	int ret = check_running(vm, err);

	return ret < 0 ? ret : vm->machine->ops->pause(vm->machine, err);
}

int vm_resume(struct vm *vm, struct err *err)
{
	int ret = check_running(vm, err);

	return ret < 0 ? ret : vm->machine->ops->resume(vm->machine, err);
}

void vm_stop(struct vm *vm)
{
	vm_exited(vm, VM_EXIT_STOPPED, "stopped");
	vm->machine->ops->stop(vm->machine);
}

/* Machines' side. ------------------------------------------------------- */

static void report_exit(struct evpost *post)
{
	struct vm *vm = container_of(post, struct vm, exit_post);
	const struct vm_callbacks *cb = &vm->config.callbacks;

	vm->exit_ran = true;
	if (vm->freeing)
		return;
	vm->machine->ops->stop(vm->machine);
	/* Last: the callback may free the vm. */
	if (cb->exited)
		cb->exited(cb->arg, vm->exit_reason, vm->exit_text);
}

void vm_exited(struct vm *vm, enum vm_exit_reason reason, const char *fmt, ...)
{
	bool first;
	va_list ap;

	pthread_mutex_lock(&vm->exit_lock);
	first = !vm->exit_reported;
	if (first) {
		vm->exit_reported = true;
		vm->exit_reason = reason;
		va_start(ap, fmt);
		vsnprintf(vm->exit_text, sizeof(vm->exit_text), fmt, ap);
		va_end(ap);
		vm->exit_post.run = report_exit;
		evloop_post(vm->config.loop, &vm->exit_post);
	}
	pthread_mutex_unlock(&vm->exit_lock);
}

int vm_thread_started(struct vm *vm, const char *name)
{
	const struct vm_callbacks *cb = &vm->config.callbacks;

	return cb->thread_started ? cb->thread_started(cb->arg, name) : 0;
}

_Static_assert(VM_VCPUS_MAX <= VIRTIO_VCPUS_MAX, "devices know all vCPUs");

int vm_vcpu_started(struct vm *vm, unsigned vcpu)
{
	int ret = 0;

	for (unsigned i = 0; i < vm->ndevices && ret == 0; i++)
		ret = virtio_device_vcpu_started(vm->devices[i], vcpu);
	return ret;
}

struct output {
	struct vm *vm;
	const void *data;
	size_t len;
};

static void console_output(void *arg)
{
	const struct output *out = arg;
	const struct vm_callbacks *cb = &out->vm->config.callbacks;

	if (cb->console)
		cb->console(cb->arg, out->data, out->len);
}

void vm_console_output(struct vm *vm, const void *data, size_t len)
{
	struct output out = {.vm = vm, .data = data, .len = len};

	evloop_call(vm->config.loop, console_output, &out);
}

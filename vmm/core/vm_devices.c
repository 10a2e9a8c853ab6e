/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "vmm/core/vm.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

/* vm_add_*: makes a device of each kind and plugs it in. */

int vm_add_rng(struct vm *vm, struct err *err)
{
	struct virtio_device *dev = virtio_rng_new();

	if (!dev)
		return err_set(err, ENOMEM, "virtio-rng: out of memory");
	return vm_add_device(vm, dev, err);
}

static void console_bytes(void *arg, const void *data, size_t len)
{
	vm_console_output(arg, data, len);
}

int vm_add_console(struct vm *vm, struct err *err)
{
	struct virtio_device *dev = virtio_console_new(console_bytes, vm);

	if (!dev)
		return err_set(err, ENOMEM, "virtio-console: out of memory");
	return vm_add_device(vm, dev, err);
}

int vm_add_vsock(struct vm *vm, uint32_t cid, int listen_fd, const char *prefix,
		 struct err *err)
{
	struct virtio_device *dev =
		virtio_vsock_new(cid, listen_fd, prefix, err);

	return dev ? vm_add_device(vm, dev, err) : -err->code;
}

int vm_add_net(struct vm *vm, const struct vm_net_config *net, struct err *err)
{
	struct virtio_device *dev = virtio_net_new(net, err);

	return dev ? vm_add_device(vm, dev, err) : -err->code;
}

static int thread_started(void *arg, const char *name)
{
	return vm_thread_started(arg, name);
}

int vm_add_blk(struct vm *vm, const struct vm_blk_config *blk, struct err *err)
{
	const struct virtio_blk_config config = {
		.fd = blk->fd,
		.readonly = blk->readonly,
		.serial = blk->serial,
		.thread_started = thread_started,
		.arg = vm,
	};
	struct virtio_device *dev = virtio_blk_new(&config, err);

	return dev ? vm_add_device(vm, dev, err) : -err->code;
}

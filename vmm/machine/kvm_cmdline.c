/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/kvm.h"
#include "vmm/virtio/device.h"

static bool always(const struct vm *vm)
{
	return true;
}

static bool with_serial(const struct vm *vm)
{
	return vm->config.serial;
}

static bool without_serial(const struct vm *vm)
{
	return !vm->config.serial;
}

static bool with_console(const struct vm *vm)
{
	unsigned i;

	for (i = 0; i < vm->ndevices; i++)
		if (vm->devices[i]->ops->id == VIRTIO_ID_CONSOLE)
			return true;
	return false;
}

/* They come before the user's own parameters, which win. */
static const struct {
	const char *text;
	bool (*wanted)(const struct vm *vm);
} parameters[] = {
	/* A panic is a reset, and a reset ends the machine; the default is
	 * to hang. */
	{"panic=-1", always},
	/* By the FADT's register. A kernel with EFI that finds hardware-reduced
	 * ACPI would ask EFI, which is not there, and then jump into a BIOS
	 * that is not there either. */
	{"reboot=acpi", always},
	/* The early scan for broken chipsets: three port accesses for each
	 * of 32 devices, and none of them is there by that way. */
	{"pci=noearly", always},
	/* No virtio device bounces its buffers; with memory above 4 GiB they
	 * would cost 64 MiB. */
	{"swiotlb=noforce", always},
	/* Do not probe for ports that the platform does not have. */
	{"8250.nr_uarts=1", with_serial},
	{"8250.nr_uarts=0", without_serial},
	/* The last one becomes /dev/console. */
	{"console=ttyS0", with_serial},
	{"console=hvc0", with_console},
};

char *kvm_cmdline(const struct vm *vm)
{
	char *text = NULL;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		if (parameters[i].wanted(vm))
			fprintf(f, "%s ", parameters[i].text);
	fputs(vm->cmdline, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/machine.h"

#include <errno.h>
#include <string.h>

/* In the order in which vm_auto_machine tries them. */
static const struct machine_ops *const machine_table[] = {
	&kvm_machine_ops,
	&uml_machine_ops,
};

const struct machine_ops *machine_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(machine_table); i++)
		if (strcmp(machine_table[i]->name, name) == 0)
			return machine_table[i];
	return NULL;
}

int vm_probe(const char *machine, struct err *err)
{
	const struct machine_ops *ops = machine_find(machine);

	if (!ops)
		return err_set(err, EINVAL, "unknown machine \"%s\"", machine);
	return ops->probe(err);
}

int vm_open_device(const char *machine, int *fd, struct err *err)
{
	const struct machine_ops *ops = machine_find(machine);

	*fd = -1;
	if (!ops)
		return err_set(err, EINVAL, "unknown machine \"%s\"", machine);
	if (!ops->open_device)
		return 0;
	*fd = ops->open_device(err);
	return *fd < 0 ? err_wrap(err, "machine %s", ops->name) : 0;
}

const char *vm_auto_machine(struct err *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(machine_table); i++)
		if (machine_table[i]->probe(err) == 0)
			return machine_table[i]->name;
	return NULL;
}

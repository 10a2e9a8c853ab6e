/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "runtime/oci/spec.h"

const char *oci_annotation(const Oci__Spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->n_annotations; i++)
		if (!strcmp(spec->annotations[i]->key, key))
			return spec->annotations[i]->value;
	return NULL;
}

const Oci__LinuxNamespace *oci_namespace(const Oci__Spec *spec,
					 const char *type)
{
	const Oci__Linux *linux_config = spec->linux_config;

	for (size_t i = 0; linux_config && i < linux_config->n_namespaces; i++)
		if (!strcmp(linux_config->namespaces[i]->type, type))
			return linux_config->namespaces[i];
	return NULL;
}

int oci_check_id(const char *id, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_+.-";
	size_t len = strlen(id);

	if (!len || len > 1024 || id[strspn(id, allowed)] || !strcmp(id, ".") ||
	    !strcmp(id, ".."))
		return err_set(err, EINVAL,
			       "container id \"%.64s\": expected 1 to 1024 of "
			       "letters, digits and _+.-",
			       id);
	return 0;
}

/* One row a container engine: which keys it uses, and their values. */
static const struct {
	const char *type_key;
	const char *id_key;
	const char *sandbox;
	const char *container;
} engines[] = {
	{
		.type_key = "io.kubernetes.cri.container-type",
		.id_key = "io.kubernetes.cri.sandbox-id",
		.sandbox = "sandbox",
		.container = "container",
	},
	{
		.type_key = "io.kubernetes.cri-o.ContainerType",
		.id_key = "io.kubernetes.cri-o.SandboxID",
		.sandbox = "sandbox",
		.container = "container",
	},
};

int oci_role(const Oci__Spec *spec, enum oci_role *role,
	     const char **sandbox_id, struct err *err)
{
	const char *seen = NULL;

	*role = OCI_SINGLE;
	*sandbox_id = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const char *key = engines[i].type_key;
		const char *type = oci_annotation(spec, key);

		if (!type)
			continue;
		if (seen)
			return err_set(err, EINVAL,
				       "annotations %s and %s: only one of "
				       "them may be set",
				       seen, key);
		seen = key;
		if (!strcmp(type, engines[i].sandbox)) {
			*role = OCI_POD_SANDBOX;
			continue;
		}
		if (strcmp(type, engines[i].container))
			return err_set(err, EINVAL,
				       "annotation %s: \"%.64s\" is neither "
				       "%s nor %s",
				       key, type, engines[i].sandbox,
				       engines[i].container);
		*role = OCI_POD_CONTAINER;
		*sandbox_id = oci_annotation(spec, engines[i].id_key);
		if (!*sandbox_id)
			return err_set(err, EINVAL,
				       "annotation %s: missing, but %s says "
				       "container",
				       engines[i].id_key, key);
		if (oci_check_id(*sandbox_id, err) < 0)
			return err_wrap(err, "annotation %s",
					engines[i].id_key);
	}
	return 0;
}

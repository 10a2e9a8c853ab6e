/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "runtime/oci/spec.h"

#define CONFIG_MAX (256u << 10) /* bytes of the file */
#define ANNOTATION_PREFIX "io.katacontainers.config."
#define SHARE_DIR NACRE_PREFIX "/share/nacre"

enum kind {
	KIND_STRING,
	KIND_PATH, /* absolute */
	KIND_CHOICE,
	KIND_BOOL,
	KIND_UINT,
	KIND_LIST,
};

static const char *const machines[] = {"auto", "kvm", "uml", NULL};
static const char *const caches[] = {"never", "auto", "metadata", "always",
				     NULL};
static const char *const file_handle_kinds[] = {"never", "prefer", "mandatory",
						NULL};
static const char *const file_event_kinds[] = {"none", "kubernetes", "all",
					       NULL};
static const char *const networks[] = {"tcfilter", "none", NULL};

/*
 * Every key, once. section: where the annotation of that name lives
 * (io.katacontainers.config.<section>.<key>); NULL: no annotation sets it,
 * as a pod must not choose what the host executes or how it is confined.
 */
static const struct key {
	const char *name;
	const char *section;
	enum kind kind;
	size_t offset;
	uint32_t min, max;
	const char *const *choices;
} keys[] = {
#define KEY(field, section_, kind_, ...)                              \
	{                                                             \
		.name = #field, .section = section_, .kind = kind_,   \
		.offset = offsetof(struct config, field), __VA_ARGS__ \
	}
	KEY(machine, NULL, KIND_CHOICE, .choices = machines),
	KEY(kernel, "hypervisor", KIND_PATH, .max = 0),
	KEY(initrd, "hypervisor", KIND_PATH, .max = 0),
	KEY(uml_kernel, NULL, KIND_PATH, .max = 0),
	KEY(kernel_params, "hypervisor", KIND_STRING, .max = 0),
	KEY(unsafe_stock_uml_kernel, NULL, KIND_BOOL, .max = 1),
	KEY(default_vcpus, "hypervisor", KIND_UINT, .min = 1, .max = 64),
	KEY(default_memory, "hypervisor", KIND_UINT, .min = 64,
	    .max = 16u << 20),
	KEY(overhead_memory, "hypervisor", KIND_UINT, .max = 1u << 20),
	KEY(transparent_hugepages, "hypervisor", KIND_BOOL, .max = 1),
	KEY(virtio_fs_cache, "hypervisor", KIND_CHOICE, .choices = caches),
	KEY(virtio_fs_workers, NULL, KIND_UINT, .max = 16),
	KEY(virtio_fs_on_vcpus, NULL, KIND_BOOL, .max = 1),
	KEY(virtio_fs_request_queues, NULL, KIND_UINT, .min = 1, .max = 4),
	KEY(virtio_fs_writeback, "hypervisor", KIND_BOOL, .max = 1),
	KEY(virtio_fs_inode_file_handles, NULL, KIND_CHOICE,
	    .choices = file_handle_kinds),
	KEY(virtio_fs_cache_size, "hypervisor", KIND_UINT, .max = 32u << 10),
	KEY(file_events, "runtime", KIND_CHOICE, .choices = file_event_kinds),
	KEY(file_events_limit, NULL, KIND_UINT, .min = 1, .max = 16384),
	KEY(internetworking_model, "runtime", KIND_CHOICE, .choices = networks),
	KEY(disable_seccomp, NULL, KIND_BOOL, .max = 1),
	KEY(disable_guest_seccomp, "runtime", KIND_BOOL, .max = 1),
	KEY(use_passfd_io, "runtime", KIND_BOOL, .max = 1),
	KEY(enable_debug, "runtime", KIND_BOOL, .max = 1),
	KEY(dial_timeout, "agent", KIND_UINT, .min = 1, .max = 600),
	KEY(create_container_timeout, "runtime", KIND_UINT, .min = 1,
	    .max = 3600),
	KEY(enable_annotations, NULL, KIND_LIST, .max = 0),
#undef KEY
};

static struct config *config_default(void)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->machine = strdup("auto");
	c->kernel = strdup(SHARE_DIR "/vmlinux");
	c->initrd = strdup(SHARE_DIR "/initramfs");
	c->uml_kernel = strdup(SHARE_DIR "/vmlinux-uml");
	c->kernel_params = strdup("");
	c->default_vcpus = 1;
	c->default_memory = 256;
	c->overhead_memory = 32;
	c->transparent_hugepages = true;
	c->virtio_fs_cache = strdup("auto");
	c->virtio_fs_workers = 1;
	c->virtio_fs_on_vcpus = true;
	c->virtio_fs_request_queues = 1;
	c->virtio_fs_inode_file_handles = strdup("never");
	c->file_events = strdup("kubernetes");
	c->file_events_limit = 1024;
	c->internetworking_model = strdup("tcfilter");
	c->use_passfd_io = true;
	c->dial_timeout = 30;
	c->create_container_timeout = 30;
	if (!c->machine || !c->kernel || !c->initrd || !c->uml_kernel ||
	    !c->kernel_params || !c->virtio_fs_cache ||
	    !c->virtio_fs_inode_file_handles || !c->file_events ||
	    !c->internetworking_model) {
		config_free(c);
		return NULL;
	}
	return c;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char **text =
			(char **)(void *)((char *)config + keys[i].offset);

		if (keys[i].kind <= KIND_CHOICE)
			free(*text);
	}
	for (size_t i = 0; i < config->n_enable_annotations; i++)
		free(config->enable_annotations[i]);
	free(config->enable_annotations);
	free(config->path);
	free(config);
}

static int set_text(struct config *config, const struct key *key,
		    const char *value, struct err *err)
{
	char **dst = (char **)(void *)((char *)config + key->offset);
	char *copy;

	if (key->kind == KIND_PATH && value[0] != '/')
		return err_set(err, EINVAL, "\"%s\": expected an absolute path",
			       value);
	if (key->kind == KIND_CHOICE) {
		char list[128] = "";
		const char *const *c = key->choices;

		for (; *c && strcmp(*c, value); c++) {
			if (c != key->choices)
				strcat(list, ", ");
			strcat(list, *c);
		}
		if (!*c)
			return err_set(err, EINVAL,
				       "\"%s\": expected one of %s", value,
				       list);
	}
	copy = strdup(value);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	free(*dst);
	*dst = copy;
	return 0;
}

static int set_list(struct config *config, const struct json *node,
		    struct err *err)
{
	size_t n = json_count(node);

	if (json_type(node) != JSON_ARRAY)
		return json_fail(node, err, "expected an array of strings");
	config->enable_annotations = calloc(n + 1, sizeof(char *));
	if (!config->enable_annotations)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *text;
		int ret = json_as_string(json_at(node, i), &text, err);

		if (ret < 0)
			return ret;
		config->enable_annotations[i] = strdup(text);
		if (!config->enable_annotations[i])
			return err_set(err, ENOMEM, "out of memory");
		config->n_enable_annotations++;
	}
	return 0;
}

static int set_key(struct config *config, const struct key *key,
		   const struct json *node, struct err *err)
{
	void *dst = (char *)config + key->offset;
	struct err why;
	const char *text;
	int64_t value;
	int ret;

	switch (key->kind) {
	case KIND_BOOL:
		if (json_type(node) != JSON_BOOL)
			return json_fail(node, err, "expected true or false");
		*(bool *)dst = json_true(node);
		return 0;
	case KIND_UINT:
		ret = json_as_int(node, key->min, key->max, &value, err);
		if (!ret)
			*(uint32_t *)dst = (uint32_t)value;
		return ret;
	case KIND_LIST:
		return set_list(config, node, err);
	default:
		ret = json_as_string(node, &text, err);
		if (!ret && set_text(config, key, text, &why) < 0)
			ret = json_fail(node, err, "%s", why.text);
		return ret;
	}
}

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static int unknown_key(const struct json *node, const char *name,
		       struct err *err)
{
	const char *names[ARRAY_SIZE(keys) + 1] = {NULL};
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		names[i] = keys[i].name;
	near = json_nearest(names, name);
	if (near)
		return json_fail(node, err, "unknown key, did you mean \"%s\"?",
				 near);
	return json_fail(node, err, "unknown key");
}

static int apply(struct config *config, const struct json *root,
		 struct err *err)
{
	if (json_type(root) != JSON_OBJECT)
		return json_fail(root, err, "expected an object");
	for (size_t i = 0; i < json_count(root); i++) {
		const struct json *node = json_at(root, i);
		const char *name = json_key(root, i);
		const struct key *key = find_key(name);
		int ret = key ? set_key(config, key, node, err)
			      : unknown_key(node, name, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The file to read: NULL when there is none. */
static char *usual_place(void)
{
	const char *home = getenv("XDG_CONFIG_HOME");
	char *path = NULL;

	if (geteuid() != 0 && home && home[0] == '/') {
		if (asprintf(&path, "%s/nacre/configuration.json", home) < 0)
			return NULL;
		if (!access(path, R_OK))
			return path;
		free(path);
	}
	path = strdup("/etc/nacre/configuration.json");
	if (path && access(path, F_OK))
		free(steal_ptr(&path));
	return path;
}

struct config *config_load(const char *path, struct err *err)
{
	struct config *config = config_default();
	struct json *root;
	int ret;

	if (!config) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	config->path = path ? strdup(path) : usual_place();
	if (!config->path)
		return config;
	root = json_load(config->path, CONFIG_MAX, JSON_COMMENTS, err);
	ret = root ? apply(config, root, err) : -1;
	json_free(root);
	if (ret < 0) {
		config_free(config);
		return NULL;
	}
	return config;
}

static bool enabled(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_enable_annotations; i++)
		if (!strcmp(config->enable_annotations[i], name))
			return true;
	return false;
}

/* Annotation values are text: "2", "true", "tcfilter". */
static int set_from_text(struct config *config, const struct key *key,
			 const char *value, struct err *err)
{
	void *dst = (char *)config + key->offset;
	unsigned long number;
	char *end;

	if (key->kind <= KIND_CHOICE)
		return set_text(config, key, value, err);
	if (key->kind == KIND_BOOL) {
		bool yes = !strcmp(value, "true");

		if (!yes && strcmp(value, "false"))
			return err_set(err, EINVAL,
				       "\"%.64s\": expected true or false",
				       value);
		*(bool *)dst = yes;
		return 0;
	}
	errno = 0;
	number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno ||
	    number < key->min || number > key->max)
		return err_set(err, EINVAL, "\"%.64s\": expected %u to %u",
			       value, key->min, key->max);
	*(uint32_t *)dst = (uint32_t)number;
	return 0;
}

static int apply_annotation(struct config *config, const char *name,
			    const char *value, struct err *err)
{
	const char *dot = strchr(name, '.');
	const struct key *key = dot ? find_key(dot + 1) : NULL;

	if (!key || !key->section ||
	    strlen(key->section) != (size_t)(dot - name) ||
	    strncmp(key->section, name, (size_t)(dot - name)))
		return err_set(err, EINVAL, "no such setting");
	if (!enabled(config, dot + 1))
		return err_set(err, EPERM,
			       "not enabled; the administrator must list "
			       "\"%s\" in enable_annotations",
			       dot + 1);
	return set_from_text(config, key, value, err);
}

int config_annotate(struct config *config, const Oci__Spec *spec,
		    struct err *err)
{
	size_t len = strlen(ANNOTATION_PREFIX);

	for (size_t i = 0; i < spec->n_annotations; i++) {
		const Oci__Pair *a = spec->annotations[i];

		if (strncmp(a->key, ANNOTATION_PREFIX, len))
			continue;
		if (apply_annotation(config, a->key + len, a->value, err) < 0)
			return err_wrap(err, "annotation %.128s", a->key);
	}
	return 0;
}

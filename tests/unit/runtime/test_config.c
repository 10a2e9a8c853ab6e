/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/pb.h"
#include "base/file.h"
#include "runtime/config.h"

static char path[64];

static int setup(void **state)
{
	int fd;

	strcpy(path, "/tmp/test_config_XXXXXX");
	fd = mkstemp(path);
	close(fd);
	return fd < 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

static struct config *load(const char *text, struct err *err)
{
	assert_int_equal(
		0, file_replace(AT_FDCWD, path, text, strlen(text), 0600));
	return config_load(path, err);
}

static void refused(const char *text, const char *message)
{
	struct err err = {0, ""};
	struct config *c = load(text, &err);

	assert_null(c);
	if (!strstr(err.text, message))
		fail_msg("\"%s\" is not in \"%s\"", message, err.text);
}

static void test_values(void **state)
{
	struct err err = {0, ""};
	struct config *c = load("{ /* comment */\n"
				"\"machine\": \"uml\", // another\n"
				"\"kernel\": \"/k\", \"default_vcpus\": 4,\n"
				"\"disable_seccomp\": true,\n"
				"\"virtio_fs_request_queues\": 4,\n"
				"\"virtio_fs_writeback\": true,\n"
				"\"virtio_fs_inode_file_handles\": "
				"\"prefer\",\n"
				"\"enable_annotations\": [\"default_vcpus\"]}",
				&err);

	if (!c)
		fail_msg("%s", err.text);
	assert_string_equal("uml", c->machine);
	assert_string_equal("/k", c->kernel);
	assert_int_equal(4, c->default_vcpus);
	assert_int_equal(256, c->default_memory);
	assert_true(c->disable_seccomp);
	assert_int_equal(4, c->virtio_fs_request_queues);
	assert_true(c->virtio_fs_writeback);
	assert_string_equal("prefer", c->virtio_fs_inode_file_handles);
	assert_string_equal(path, c->path);
	config_free(c);
}

static void test_refused(void **state)
{
	refused("{\n\"default_vcpu\": 1}",
		":2: default_vcpu: unknown key, did you mean "
		"\"default_vcpus\"?");
	refused("{\"zzzzzzzzzzzzzzz\": 1}", "unknown key");
	refused("{\"default_vcpus\": 0}", "default_vcpus");
	refused("{\"default_vcpus\": \"1\"}", "default_vcpus");
	refused("{\"machine\": \"xen\"}", "expected one of auto, kvm, uml");
	refused("{\"kernel\": \"vmlinux\"}", "absolute path");
	refused("{\"disable_seccomp\": 1}", "expected true or false");
	refused("{\"virtio_fs_request_queues\": 0}",
		"is not in the range from 1 to 4");
	refused("{\"virtio_fs_request_queues\": 5}",
		"is not in the range from 1 to 4");
	refused("{\"virtio_fs_writeback\": \"yes\"}",
		"virtio_fs_writeback: expected true or false");
	refused("{\"virtio_fs_inode_file_handles\": \"always\"}",
		"virtio_fs_inode_file_handles: \"always\": expected one of "
		"never, prefer, mandatory");
	refused("{\"enable_annotations\": \"x\"}", "array of strings");
	refused("[]", "expected an object");
	refused("{", path);
}

/* The file that users start from: its values are the defaults. */
static void test_default_file(void **state)
{
	struct err err = {0, ""};
	struct config *built_in = load("{}", &err);
	struct config *file = config_load("configs/configuration.json", &err);

	if (!file)
		fail_msg("%s", err.text);
	assert_non_null(built_in);
	assert_string_equal(built_in->machine, file->machine);
	assert_string_equal(built_in->kernel, file->kernel);
	assert_string_equal(built_in->initrd, file->initrd);
	assert_string_equal(built_in->uml_kernel, file->uml_kernel);
	assert_string_equal(built_in->kernel_params, file->kernel_params);
	assert_string_equal(built_in->virtio_fs_cache, file->virtio_fs_cache);
	assert_string_equal(built_in->virtio_fs_inode_file_handles,
			    file->virtio_fs_inode_file_handles);
	assert_string_equal(built_in->file_events, file->file_events);
	assert_string_equal(built_in->internetworking_model,
			    file->internetworking_model);
#define SAME(field) assert_int_equal(built_in->field, file->field)
	SAME(unsafe_stock_uml_kernel);
	SAME(default_vcpus);
	SAME(default_memory);
	SAME(overhead_memory);
	SAME(transparent_hugepages);
	SAME(virtio_fs_workers);
	SAME(virtio_fs_on_vcpus);
	SAME(virtio_fs_request_queues);
	SAME(virtio_fs_writeback);
	SAME(virtio_fs_cache_size);
	SAME(file_events_limit);
	SAME(disable_seccomp);
	SAME(disable_guest_seccomp);
	SAME(use_passfd_io);
	SAME(enable_debug);
	SAME(dial_timeout);
	SAME(create_container_timeout);
	SAME(n_enable_annotations);
#undef SAME
	config_free(built_in);
	config_free(file);
}

static int annotate(struct config *c, const char *key, const char *value,
		    struct err *err)
{
	Oci__Pair pair = OCI__PAIR__INIT;
	Oci__Pair *pairs[] = {&pair};
	Oci__Spec spec = OCI__SPEC__INIT;

	pair.key = pb_str(key);
	pair.value = pb_str(value);
	spec.annotations = pairs;
	spec.n_annotations = 1;
	return config_annotate(c, &spec, err);
}

#define HYPERVISOR "io.katacontainers.config.hypervisor."

static void test_annotations(void **state)
{
	struct err err = {0, ""};
	struct config *c = load("{\"enable_annotations\":"
				"[\"default_vcpus\", \"disable_seccomp\","
				"\"kernel\", \"uml_kernel\","
				"\"virtio_fs_writeback\","
				"\"virtio_fs_inode_file_handles\"]}",
				&err);

	assert_non_null(c);
	assert_int_equal(0, annotate(c, "other", "x", &err));
	assert_int_equal(0, annotate(c, HYPERVISOR "default_vcpus", "8", &err));
	assert_int_equal(8, c->default_vcpus);
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "default_vcpus", "999", &err));
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "default_vcpus", "-1", &err));
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "default_vcpus", "8x", &err));
	assert_int_equal(-EPERM,
			 annotate(c, HYPERVISOR "default_memory", "64", &err));
	assert_non_null(strstr(err.text, "enable_annotations"));
	assert_int_equal(-EINVAL, annotate(c, HYPERVISOR "nothing", "1", &err));
	assert_int_equal(
		-EINVAL,
		annotate(c, "io.katacontainers.config.runtime.default_vcpus",
			 "1", &err));
	/* What the host executes, and how it is confined, no pod chooses. */
	assert_int_equal(-EINVAL, annotate(c, HYPERVISOR "disable_seccomp",
					   "true", &err));
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "virtio_fs_inode_file_handles",
				  "prefer", &err));
	assert_int_equal(
		0, annotate(c, HYPERVISOR "virtio_fs_writeback", "true", &err));
	assert_true(c->virtio_fs_writeback);
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "uml_kernel", "/x", &err));
	assert_int_equal(-EINVAL,
			 annotate(c, HYPERVISOR "kernel", "relative", &err));
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_annotations, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

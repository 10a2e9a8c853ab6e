/* SPDX-License-Identifier: Apache-2.0 */
/* Specs: what is refused, mount options, seccomp profiles. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "guest/agent/mount_options.h"
#include "guest/agent/seccomp.h"
#include "guest/agent/spec.h"

static char *words[8];

static int parse(struct mount_options *o, const char *first, ...)
{
	struct err err;
	size_t n = 0;
	va_list ap;

	va_start(ap, first);
	for (const char *w = first; w; w = va_arg(ap, const char *))
		words[n++] = (char *)(uintptr_t)w;
	va_end(ap);
	return mount_options_parse(words, n, o, &err);
}

static void mount_flags(void **state)
{
	static struct mount_options o;

	assert_int_equal(parse(&o, "rbind", "ro", "nosuid", "nodev", NULL), 0);
	assert_int_equal(o.flags,
			 MS_BIND | MS_REC | MS_RDONLY | MS_NOSUID | MS_NODEV);
	assert_int_equal(parse(&o, "ro", "rw", NULL), 0);
	assert_int_equal(o.flags, 0);
	assert_int_equal(o.cleared, MS_RDONLY);
	assert_int_equal(parse(&o, "size=1m", "mode=755", "noexec", NULL), 0);
	assert_string_equal(o.data, "size=1m,mode=755");
	assert_int_equal(o.flags, MS_NOEXEC);
	assert_int_equal(parse(&o, "rprivate", "slave", NULL), 0);
	assert_int_equal(o.n_propagation, 2);
	assert_int_equal(o.propagation[0], MS_PRIVATE | MS_REC);
	assert_int_equal(o.propagation[1], MS_SLAVE);
	assert_string_equal(o.data, "");
	assert_int_equal(parse(&o, "rro", "rnoatime", NULL), 0);
	assert_int_equal(o.rec_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME);
	assert_int_equal(o.rec_clear, MOUNT_ATTR__ATIME);
	assert_int_equal(parse(&o, "bind", "idmap", NULL), 0);
	assert_true(o.idmap && !o.ridmap);
	assert_int_equal(parse(&o, "ridmap", NULL), 0);
	assert_true(o.idmap && o.ridmap);
	assert_string_equal(o.data, "");
	assert_int_equal(parse(&o, "idmap=uids=0-1-2", NULL), -ENOTSUP);
	assert_int_equal(parse(&o, "ridmap=gids=0-1-2", NULL), -ENOTSUP);
	assert_int_equal(parse(&o, "shared", "shared", "shared", "shared",
			       "shared", NULL),
			 -EINVAL);
}

static void mount_attributes_of_flags(void **state)
{
	assert_int_equal(
		mount_attributes(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC |
				 MS_NODIRATIME | MS_SILENT | MS_SYNCHRONOUS),
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME);
	assert_int_equal(mount_attributes(MS_NOATIME | MS_NOSYMFOLLOW),
			 MOUNT_ATTR_NOATIME | MOUNT_ATTR_NOSYMFOLLOW);
	assert_int_equal(mount_attributes(MS_RELATIME), MOUNT_ATTR_RELATIME);
	assert_int_equal(mount_attributes(MS_NOATIME | MS_STRICTATIME),
			 MOUNT_ATTR_STRICTATIME);
}

static void mount_data_is_bounded(void **state)
{
	static struct mount_options o;
	static char big[MOUNT_DATA_MAX];

	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(parse(&o, big, NULL), 0);
	assert_int_equal(parse(&o, big, "y", NULL), -E2BIG);
	memset(big, 'x', sizeof(big));
}

static Agent__CreateContainerRequest req;
static Oci__Spec spec;
static Oci__Process process;
static Oci__Root root;
static Oci__Linux lin;
static Oci__LinuxNamespace ns;
static Oci__LinuxNamespace *namespaces[] = {&ns};
static char *args[] = {(char *)"sh"};

static void good(void)
{
	agent__create_container_request__init(&req);
	oci__spec__init(&spec);
	oci__process__init(&process);
	oci__root__init(&root);
	oci__linux__init(&lin);
	oci__linux_namespace__init(&ns);
	req.oci = &spec;
	spec.process = &process;
	spec.root = &root;
	spec.linux_config = &lin;
	root.path = (char *)"/r";
	process.cwd = (char *)"/";
	process.args = args;
	process.n_args = 1;
	ns.type = (char *)"mount";
	lin.namespaces = namespaces;
	lin.n_namespaces = 1;
}

static int result(void)
{
	struct err err;
	int ret = spec_check_create(&req, &err);

	if (ret < 0)
		assert_true(err.text[0] != '\0');
	return ret;
}

static void refusals(void **state)
{
	static char *bad_env[] = {(char *)"NOVALUE"};
	static Agent__StringUser user;
	static Oci__User id;

	good();
	assert_int_equal(result(), 0);
	req.oci = NULL;
	assert_int_equal(result(), -EINVAL);
	good();
	spec.linux_config = NULL;
	assert_int_equal(result(), -EINVAL);
	good();
	spec.root = NULL;
	assert_int_equal(result(), -EINVAL);
	good();
	spec.process = NULL;
	assert_int_equal(result(), -EINVAL);
	good();
	root.path = (char *)"/a/../b";
	assert_int_equal(result(), -EINVAL);
	good();
	process.n_args = 0;
	assert_int_equal(result(), -EINVAL);
	good();
	process.cwd = (char *)"tmp";
	assert_int_equal(result(), -EINVAL);
	good();
	process.env = bad_env;
	process.n_env = 1;
	assert_int_equal(result(), -EINVAL);
	good();
	process.apparmor_profile = (char *)"p";
	assert_int_equal(result(), -ENOTSUP);
	good();
	process.oom_score_adj = 1001;
	assert_int_equal(result(), -EINVAL);
	good();
	lin.rootfs_propagation = (char *)"sideways";
	assert_int_equal(result(), -EINVAL);
	good();
	agent__string_user__init(&user);
	req.string_user = &user;
	assert_int_equal(result(), 0);
	user.uid = (char *)"bob";
	process.user = NULL;
	assert_int_equal(result(), -EINVAL);
	oci__user__init(&id);
	process.user = &id;
	assert_int_equal(result(), 0);
}

static void seccomp_profiles(void **state)
{
	Oci__LinuxSeccomp p = OCI__LINUX_SECCOMP__INIT;
	Oci__LinuxSyscall call = OCI__LINUX_SYSCALL__INIT;
	Oci__LinuxSyscall *calls[] = {&call};
	Oci__LinuxSeccompArg a = OCI__LINUX_SECCOMP_ARG__INIT;
	Oci__LinuxSeccompArg *list[] = {&a, &a};
	char *names[] = {(char *)"socket", (char *)"newer_than_all"};
	scmp_filter_ctx ctx = NULL;
	struct err err;

	p.default_action = (char *)"SCMP_ACT_ERRNO";
	p.default_errno_plus_one = 38 + 1;
	p.syscalls = calls;
	p.n_syscalls = 1;
	call.names = names;
	call.n_names = 2;
	call.action = (char *)"SCMP_ACT_ALLOW";
	call.args = list;
	call.n_args = 2; /* twice of one argument: either */
	a.op = (char *)"SCMP_CMP_EQ";
	assert_int_equal(seccomp_build(&p, &ctx, &err), 0);
	seccomp_release(ctx);
	a.op = (char *)"SCMP_CMP_FROB";
	assert_int_equal(seccomp_build(&p, &ctx, &err), -EINVAL);
	a.op = (char *)"SCMP_CMP_EQ";
	a.index = 6;
	assert_int_equal(seccomp_build(&p, &ctx, &err), -EINVAL);
	a.index = 0;
	call.n_args = 7;
	assert_int_equal(seccomp_build(&p, &ctx, &err), -EINVAL);
	call.n_args = 1;
	call.action = (char *)"SCMP_ACT_NOTIFY";
	assert_int_equal(seccomp_build(&p, &ctx, &err), -ENOTSUP);
	call.action = (char *)"SCMP_ACT_ERRNO";
	call.errno_ret_case = OCI__LINUX_SYSCALL__ERRNO_RET_ERRNORET;
	call.errnoret = 0x10000;
	assert_int_equal(seccomp_build(&p, &ctx, &err), -EINVAL);
	p.default_action = (char *)"";
	assert_int_equal(seccomp_build(&p, &ctx, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_flags),
		cmocka_unit_test(mount_attributes_of_flags),
		cmocka_unit_test(mount_data_is_bounded),
		cmocka_unit_test(refusals),
		cmocka_unit_test(seccomp_profiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/seccomp.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

/* linux/seccomp.h: what the kernel hands to SECCOMP_RET_DATA. */
#define DATA_MAX 0xffffu

static int parse_action(const char *name, uint32_t data, uint32_t *out,
			struct err *err)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
		{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
		{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
		{"SCMP_ACT_LOG", SCMP_ACT_LOG},
	};

	if (data > DATA_MAX)
		return err_set(err, EINVAL, "seccomp: errno %u", data);
	if (strcmp(name, "SCMP_ACT_ERRNO") == 0) {
		*out = SCMP_ACT_ERRNO(data);
		return 0;
	}
	if (strcmp(name, "SCMP_ACT_TRACE") == 0) {
		*out = SCMP_ACT_TRACE(data);
		return 0;
	}
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return err_set(err, ENOTSUP,
			       "seccomp: SCMP_ACT_NOTIFY needs an agent on the "
			       "host, which a sandbox cannot reach");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(name, actions[i].name) == 0) {
			*out = actions[i].action;
			return 0;
		}
	}
	return err_set(err, EINVAL, "seccomp: action %.64s", name);
}

static int parse_op(const char *name, enum scmp_compare *out, struct err *err)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{"SCMP_CMP_NE", SCMP_CMP_NE},
		{"SCMP_CMP_LT", SCMP_CMP_LT},
		{"SCMP_CMP_LE", SCMP_CMP_LE},
		{"SCMP_CMP_EQ", SCMP_CMP_EQ},
		{"SCMP_CMP_GE", SCMP_CMP_GE},
		{"SCMP_CMP_GT", SCMP_CMP_GT},
		{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (strcmp(name, ops[i].name) == 0) {
			*out = ops[i].op;
			return 0;
		}
	}
	return err_set(err, EINVAL, "seccomp: operator %.64s", name);
}

static int add_arch(scmp_filter_ctx ctx, const char *name, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t arch;
	} archs[] = {
		{"SCMP_ARCH_X86", SCMP_ARCH_X86},
		{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
		{"SCMP_ARCH_X32", SCMP_ARCH_X32},
		{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
		{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
	};

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		int ret;

		if (strcmp(name, archs[i].name) != 0)
			continue;
		ret = seccomp_arch_add(ctx, archs[i].arch);
		if (ret < 0 && ret != -EEXIST)
			return err_ret(err, ret, "seccomp: %s", name);
		return 0;
	}
	/* A profile may list machines that this guest can never be. */
	if (strncmp(name, "SCMP_ARCH_", 10) == 0)
		return 0;
	return err_set(err, EINVAL, "seccomp: architecture %.64s", name);
}

static int set_flag(scmp_filter_ctx ctx, const char *name, struct err *err)
{
	int ret;

	if (strcmp(name, "SECCOMP_FILTER_FLAG_TSYNC") == 0)
		return 0; /* the process has one thread */
	if (strcmp(name, "SECCOMP_FILTER_FLAG_LOG") == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	else if (strcmp(name, "SECCOMP_FILTER_FLAG_SPEC_ALLOW") == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	else
		return err_set(err, ENOTSUP, "seccomp: flag %.64s", name);
	return ret < 0 ? err_ret(err, ret, "seccomp: %s", name) : 0;
}

static int parse_args(const Oci__LinuxSyscall *call, struct scmp_arg_cmp *args,
		      bool *each, struct err *err)
{
	unsigned seen = 0;

	*each = false;
	if (call->n_args > 6)
		return err_set(err, EINVAL, "seccomp: more than 6 arguments");
	for (size_t i = 0; i < call->n_args; i++) {
		const Oci__LinuxSeccompArg *a = call->args[i];
		enum scmp_compare op = SCMP_CMP_EQ;
		int ret = parse_op(a->op, &op, err);

		if (ret < 0)
			return ret;
		if (a->index > 5)
			return err_set(err, EINVAL,
				       "seccomp: argument index above 5");
		/* libseccomp cannot join two of the same: either may hold. */
		*each |= (seen & (1u << a->index)) != 0;
		seen |= 1u << a->index;
		args[i] = (struct scmp_arg_cmp){
			.arg = (unsigned)a->index,
			.op = op,
			.datum_a = a->value,
			.datum_b = a->value_two,
		};
	}
	return 0;
}

static int add_call(scmp_filter_ctx ctx, uint32_t action, const char *name,
		    const struct scmp_arg_cmp *args, unsigned n, bool each)
{
	int nr = seccomp_syscall_resolve_name(name);
	int ret = 0;

	/* Profiles name calls newer than the library; they get the default. */
	if (nr == __NR_SCMP_ERROR)
		return 0;
	if (!each)
		return seccomp_rule_add_array(ctx, action, nr, n, args);
	for (unsigned i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add_array(ctx, action, nr, 1, &args[i]);
	return ret;
}

static int add_rule(scmp_filter_ctx ctx, uint32_t fallback,
		    const Oci__LinuxSyscall *call, struct err *err)
{
	struct scmp_arg_cmp args[6];
	uint32_t data = EPERM, action;
	bool each = false;
	int ret;

	if (call->errno_ret_case == OCI__LINUX_SYSCALL__ERRNO_RET_ERRNORET)
		data = call->errnoret;
	ret = parse_action(call->action, data, &action, err);
	if (!ret)
		ret = parse_args(call, args, &each, err);
	if (ret < 0 || action == fallback)
		return ret;
	for (size_t i = 0; i < call->n_names; i++) {
		ret = add_call(ctx, action, call->names[i], args,
			       (unsigned)call->n_args, each);
		if (ret < 0 && ret != -EEXIST)
			return err_ret(err, ret, "seccomp: %.64s",
				       call->names[i]);
	}
	return 0;
}

static void cleanup_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

int seccomp_build(const Oci__LinuxSeccomp *spec, scmp_filter_ctx *out,
		  struct err *err)
{
	AUTO(cleanup_filter) scmp_filter_ctx ctx = NULL;
	uint32_t data = spec->default_errno_plus_one
				? spec->default_errno_plus_one - 1
				: EPERM;
	uint32_t fallback;
	int ret = parse_action(spec->default_action, data, &fallback, err);

	if (ret < 0)
		return ret;
	ctx = seccomp_init(fallback);
	if (!ctx)
		return err_set(err, ENOMEM, "seccomp: out of memory");
	/* no_new_privs is the spec's to decide. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (ret < 0)
		return err_ret(err, ret, "seccomp: attribute");
	for (size_t i = 0; i < spec->n_architectures && !ret; i++)
		ret = add_arch(ctx, spec->architectures[i], err);
	for (size_t i = 0; i < spec->n_flags && !ret; i++)
		ret = set_flag(ctx, spec->flags[i], err);
	for (size_t i = 0; i < spec->n_syscalls && !ret; i++)
		ret = add_rule(ctx, fallback, spec->syscalls[i], err);
	if (!ret)
		*out = steal_ptr(&ctx);
	return ret;
}

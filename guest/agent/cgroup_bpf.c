/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/cgroup_bpf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ANY (-1)
#define RULE_INSNS 8
#define ACCESS_ALL \
	(BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

struct rule {
	bool allow;
	int type; /* BPF_DEVCG_DEV_*, ANY */
	int64_t major, minor;
	int access;
};

static const struct rule always[] = {
	{true, BPF_DEVCG_DEV_CHAR, ANY, ANY, BPF_DEVCG_ACC_MKNOD},
	{true, BPF_DEVCG_DEV_BLOCK, ANY, ANY, BPF_DEVCG_ACC_MKNOD},
	{true, BPF_DEVCG_DEV_CHAR, 1, 3, ACCESS_ALL},	  /* null */
	{true, BPF_DEVCG_DEV_CHAR, 1, 5, ACCESS_ALL},	  /* zero */
	{true, BPF_DEVCG_DEV_CHAR, 1, 7, ACCESS_ALL},	  /* full */
	{true, BPF_DEVCG_DEV_CHAR, 1, 8, ACCESS_ALL},	  /* random */
	{true, BPF_DEVCG_DEV_CHAR, 1, 9, ACCESS_ALL},	  /* urandom */
	{true, BPF_DEVCG_DEV_CHAR, 5, 0, ACCESS_ALL},	  /* tty */
	{true, BPF_DEVCG_DEV_CHAR, 5, 2, ACCESS_ALL},	  /* ptmx */
	{true, BPF_DEVCG_DEV_CHAR, 136, ANY, ACCESS_ALL}, /* pts */
};

static int parse_rule(const Oci__LinuxDeviceCgroup *in, struct rule *out,
		      struct err *err)
{
	*out = (struct rule){.allow = in->allow, .type = ANY};
	if (strcmp(in->type, "c") == 0 || strcmp(in->type, "u") == 0)
		out->type = BPF_DEVCG_DEV_CHAR;
	else if (strcmp(in->type, "b") == 0)
		out->type = BPF_DEVCG_DEV_BLOCK;
	else if (in->type[0] && strcmp(in->type, "a") != 0)
		return err_set(err, EINVAL, "device rule: type %.8s", in->type);
	out->major = out->type == ANY || in->major < 0 ? ANY : in->major;
	out->minor = out->type == ANY || in->minor < 0 ? ANY : in->minor;
	if (out->major > INT32_MAX || out->minor > INT32_MAX)
		return err_set(err, EINVAL, "device rule: number too large");
	for (const char *a = in->access; *a; a++) {
		if (*a == 'r')
			out->access |= BPF_DEVCG_ACC_READ;
		else if (*a == 'w')
			out->access |= BPF_DEVCG_ACC_WRITE;
		else if (*a == 'm')
			out->access |= BPF_DEVCG_ACC_MKNOD;
		else
			return err_set(err, EINVAL, "device rule: access %.8s",
				       in->access);
	}
	if (!in->access[0])
		out->access = ACCESS_ALL;
	return 0;
}

/* One instruction; the registers are those of emit_start. */
static struct bpf_insn insn(int code, int dst, int src, int off, int imm)
{
	return (struct bpf_insn){
		.code = (__u8)code,
		.dst_reg = (__u8)(dst & 15),
		.src_reg = (__u8)(src & 15),
		.off = (__s16)off,
		.imm = imm,
	};
}

/* r2: type; r3: the accesses that are not decided yet; r4:r5: numbers. */
static size_t emit_start(struct bpf_insn *p)
{
	const int load = BPF_LDX | BPF_W | BPF_MEM;
	size_t n = 0;

	p[n++] = insn(load, 2, 1, 0, 0);
	p[n++] = insn(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
	p[n++] = insn(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
	p[n++] = insn(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
	p[n++] = insn(load, 4, 1, 4, 0);
	p[n++] = insn(load, 5, 1, 8, 0);
	return n;
}

static size_t emit_end(struct bpf_insn *p, int result)
{
	p[0] = insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, result);
	p[1] = insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return 2;
}

static size_t emit_rule(struct bpf_insn *p, const struct rule *r)
{
	const int differs = BPF_JMP | BPF_JNE | BPF_K;
	size_t body = 4; /* the instructions after the comparisons */
	size_t n = 0;
	int left = (r->type != ANY) + (r->major != ANY) + (r->minor != ANY);

	if (r->type != ANY)
		p[n++] = insn(differs, 2, 0, --left + (int)body, r->type);
	if (r->major != ANY)
		p[n++] = insn(differs, 4, 0, --left + (int)body, (int)r->major);
	if (r->minor != ANY)
		p[n++] = insn(differs, 5, 0, --left + (int)body, (int)r->minor);
	if (r->allow) {
		p[n++] = insn(BPF_ALU | BPF_AND | BPF_K, 3, 0, 0,
			      ~r->access & 0xffff);
		p[n++] = insn(differs, 3, 0, 2, 0);
		return n + emit_end(p + n, 1);
	}
	/* BPF_JSET: any of the bits. Over the jump that skips the verdict. */
	p[n++] = insn(BPF_JMP | BPF_JSET | BPF_K, 3, 0, 1, r->access);
	p[n++] = insn(BPF_JMP | BPF_JA, 0, 0, 2, 0);
	return n + emit_end(p + n, 0);
}

int cgroup_bpf_build(Oci__LinuxDeviceCgroup *const *rules, size_t n,
		     struct bpf_insn **out, size_t *len, struct err *err)
{
	AUTO_FREE struct bpf_insn *p = NULL;
	size_t at;

	if (n > CGROUP_BPF_RULES_MAX)
		return err_set(err, E2BIG, "device rules: %zu, at most %u", n,
			       CGROUP_BPF_RULES_MAX);
	p = calloc((n + ARRAY_SIZE(always)) * RULE_INSNS + RULE_INSNS,
		   sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "device rules: out of memory");
	at = emit_start(p);
	for (size_t i = ARRAY_SIZE(always); i-- > 0;)
		at += emit_rule(p + at, &always[i]);
	for (size_t i = n; i-- > 0;) {
		struct rule r;
		int ret = parse_rule(rules[i], &r, err);

		if (ret < 0)
			return ret;
		at += emit_rule(p + at, &r);
	}
	at += emit_end(p + at, 0);
	*len = at;
	*out = steal_ptr(&p);
	return 0;
}

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

static int prog_load(const struct bpf_insn *insns, size_t len)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = (uint32_t)len,
		.license = (uint64_t)(uintptr_t) "GPL",
	};

	return sys_bpf(BPF_PROG_LOAD, &attr);
}

static int prog_attach(int cmd, int cgroup, int prog)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)cgroup,
		.attach_bpf_fd = (uint32_t)prog,
		.attach_type = BPF_CGROUP_DEVICE,
	};

	if (cmd == BPF_PROG_ATTACH)
		attr.attach_flags = BPF_F_ALLOW_MULTI;
	return sys_bpf(cmd, &attr);
}

int cgroup_bpf_set(int cgroup, int *prog, Oci__LinuxDeviceCgroup *const *rules,
		   size_t n, struct err *err)
{
	AUTO_FREE struct bpf_insn *insns = NULL;
	AUTO_FD int fd = -1;
	size_t len;
	int ret = cgroup_bpf_build(rules, n, &insns, &len, err);

	if (ret < 0)
		return ret;
	fd = prog_load(insns, len);
	if (fd < 0)
		return err_ret(err, fd, "device rules: bpf(BPF_PROG_LOAD)");
	ret = prog_attach(BPF_PROG_ATTACH, cgroup, fd);
	if (ret < 0)
		return err_ret(err, ret, "device rules: bpf(BPF_PROG_ATTACH)");
	/* Both are in force for a moment: less is allowed, never more. */
	if (*prog >= 0) {
		(void)prog_attach(BPF_PROG_DETACH, cgroup, *prog);
		close(*prog);
	}
	*prog = steal_fd(&fd);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Device programs, run by a small interpreter of what they use. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/agent/cgroup_bpf.h"

#define C BPF_DEVCG_DEV_CHAR
#define B BPF_DEVCG_DEV_BLOCK
#define R BPF_DEVCG_ACC_READ
#define W BPF_DEVCG_ACC_WRITE
#define M BPF_DEVCG_ACC_MKNOD

static int interpret(const struct bpf_insn *p, size_t len,
		     const struct bpf_cgroup_dev_ctx *ctx)
{
	uint64_t r[11] = {0};

	for (size_t pc = 0; pc < len; pc++) {
		const struct bpf_insn *i = &p[pc];
		uint64_t *d = &r[i->dst_reg];
		uint32_t imm = (uint32_t)i->imm;

		switch (i->code) {
		case BPF_LDX | BPF_W | BPF_MEM:
			assert_int_equal(i->src_reg, 1);
			assert_in_range(i->off, 0, 8);
			*d = *(const uint32_t *)(const void *)((const char *)
								       ctx +
							       i->off);
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			*d = (uint32_t)r[i->src_reg];
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			*d = (uint32_t)*d & imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			*d = (uint32_t)*d >> imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*d = imm;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			if (*d != imm)
				pc += (size_t)i->off;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			if (*d & imm)
				pc += (size_t)i->off;
			break;
		case BPF_JMP | BPF_JA:
			pc += (size_t)i->off;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)r[0];
		default:
			fail_msg("instruction %02x", i->code);
		}
	}
	fail_msg("runs past its end");
	return -1;
}

struct rule_text {
	bool allow;
	const char *type;
	int64_t major, minor;
	const char *access;
};

static Oci__LinuxDeviceCgroup rules[8];
static Oci__LinuxDeviceCgroup *list[8];

static int build(const struct rule_text *text, size_t n, struct bpf_insn **out,
		 size_t *len)
{
	struct err err;

	for (size_t i = 0; i < n; i++) {
		oci__linux_device_cgroup__init(&rules[i]);
		rules[i].allow = text[i].allow;
		rules[i].type = (char *)(uintptr_t)text[i].type;
		rules[i].major = text[i].major;
		rules[i].minor = text[i].minor;
		rules[i].access = (char *)(uintptr_t)text[i].access;
		list[i] = &rules[i];
	}
	return cgroup_bpf_build(list, n, out, len, &err);
}

static int ask(const struct rule_text *text, size_t n, unsigned type,
	       uint32_t major, uint32_t minor, unsigned access)
{
	struct bpf_cgroup_dev_ctx ctx = {
		.access_type = access << 16 | type,
		.major = major,
		.minor = minor,
	};
	struct bpf_insn *insns;
	size_t len;
	int ret;

	assert_int_equal(build(text, n, &insns, &len), 0);
	ret = interpret(insns, len, &ctx);
	free(insns);
	return ret;
}

static void defaults(void **state)
{
	assert_int_equal(ask(NULL, 0, C, 1, 3, R | W), 1);
	assert_int_equal(ask(NULL, 0, C, 136, 77, R | W), 1);
	assert_int_equal(ask(NULL, 0, C, 5, 2, R | W), 1);
	assert_int_equal(ask(NULL, 0, C, 1, 1, R), 0); /* mem */
	assert_int_equal(ask(NULL, 0, B, 8, 0, R), 0);
	assert_int_equal(ask(NULL, 0, B, 8, 0, M), 1);
	assert_int_equal(ask(NULL, 0, B, 8, 0, M | R), 0);
	assert_int_equal(ask(NULL, 0, B, 1, 3, R), 0);
}

static void last_rule_wins(void **state)
{
	const struct rule_text text[] = {
		{true, "a", -1, -1, "rwm"},
		{false, "c", 10, -1, "rwm"},
		{true, "c", 10, 229, "rw"},
		{false, "b", 8, 16, "w"},
	};

	assert_int_equal(ask(text, 4, C, 10, 229, R | W), 1);
	assert_int_equal(ask(text, 4, C, 10, 200, R), 0);
	assert_int_equal(ask(text, 4, C, 10, 200, R | W | M), 0);
	assert_int_equal(ask(text, 4, B, 8, 16, R), 1);
	assert_int_equal(ask(text, 4, B, 8, 16, W), 0);
	assert_int_equal(ask(text, 4, B, 8, 16, R | W), 0);
	assert_int_equal(ask(text, 4, B, 8, 17, R | W), 1);
	assert_int_equal(ask(text, 4, C, 200, 1, R | W | M), 1);
}

/* Two rules can allow together what neither allows alone. */
static void accesses_add_up(void **state)
{
	const struct rule_text text[] = {
		{true, "c", 4, 4, "r"},
		{true, "c", 4, 4, "w"},
	};

	assert_int_equal(ask(text, 2, C, 4, 4, R | W), 1);
	assert_int_equal(ask(text, 1, C, 4, 4, R | W), 0);
}

static void refusals(void **state)
{
	static const struct rule_text bad[] = {
		{true, "x", 1, 1, "r"},
		{true, "c", 1, 1, "rx"},
		{true, "c", 1LL << 40, 1, "r"},
	};
	struct bpf_insn *insns = NULL;
	struct err err;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(build(&bad[i], 1, &insns, &len), -EINVAL);
	assert_int_equal(cgroup_bpf_build(list, CGROUP_BPF_RULES_MAX + 1,
					  &insns, &len, &err),
			 -E2BIG);
	assert_null(insns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(last_rule_wins),
		cmocka_unit_test(accesses_add_up),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/kvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PE 1ull
#define AC (1ull << 18)
#define SMAP (1ull << 21)

/* What can be told of an access by the registers alone. */
static void test_accessor(void **state)
{
	static const struct {
		uint64_t cr0, cr4, rflags;
		uint8_t level;
		enum kvm_accessor who;
	} cases[] = {
		{PE, SMAP, 0, 3, KVM_ACCESSOR_PROGRAM},
		{PE, SMAP, AC, 3, KVM_ACCESSOR_PROGRAM},
		{PE, 0, 0, 3, KVM_ACCESSOR_PROGRAM},
		{PE, SMAP, AC, 0, KVM_ACCESSOR_COPY},
		{PE, SMAP, 0, 0, KVM_ACCESSOR_KERNEL},
		/* A program's flag, which nobody has cleared. */
		{PE, 0, AC, 0, KVM_ACCESSOR_KERNEL},
		/* Real mode has no levels. */
		{0, SMAP, AC, 3, KVM_ACCESSOR_KERNEL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_sregs sregs = {
			.cr0 = cases[i].cr0,
			.cr4 = cases[i].cr4,
			.ss.dpl = cases[i].level,
		};
		struct kvm_regs regs = {.rflags = cases[i].rflags};

		assert_int_equal(kvm_accessor_of(&sregs, &regs), cases[i].who);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accessor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling of a process, as Linux is asked for it. */
#include "guest/agent/limits.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct sched_attr attr;
static int ioprio;
static unsigned calls;
static int refusal; /* errno; 0: none */
static struct err err;

/* In place of the system's. */
long syscall(long number, ...)
{
	va_list ap;

	calls++;
	va_start(ap, number);
	assert_int_equal(0, va_arg(ap, int) & ~IOPRIO_WHO_PROCESS);
	if (number == SYS_sched_setattr)
		attr = *va_arg(ap, struct sched_attr *);
	if (number == SYS_ioprio_set && va_arg(ap, int) == 0)
		ioprio = va_arg(ap, int);
	va_end(ap);
	errno = refusal;
	return refusal ? -1 : 0;
}

static char *str(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* Of no more than one flag; NULL: of none. */
static int schedule(const char *policy, const char *flag, Oci__Scheduler *s)
{
	char *flags[] = {str(flag)};

	s->policy = str(policy);
	s->flags = flags;
	s->n_flags = flag ? 1 : 0;
	memset(&attr, 0xff, sizeof(attr));
	calls = 0;
	return scheduler_apply(s, &err);
}

static void each_policy(void **state)
{
	static const struct {
		const char *name;
		uint32_t policy;
	} policies[] = {
		{"SCHED_OTHER", SCHED_NORMAL},
		{"SCHED_BATCH", SCHED_BATCH},
		{"SCHED_FIFO", SCHED_FIFO},
		{"SCHED_RR", SCHED_RR},
		{"SCHED_IDLE", SCHED_IDLE},
		{"SCHED_DEADLINE", SCHED_DEADLINE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		Oci__Scheduler s = OCI__SCHEDULER__INIT;

		s.nice = -5;
		s.priority = 7;
		s.runtime = 1;
		s.deadline = UINT64_MAX;
		s.period = 3;
		assert_int_equal(schedule(policies[i].name, NULL, &s), 0);
		assert_int_equal(attr.size, sizeof(attr));
		assert_int_equal(attr.sched_policy, policies[i].policy);
		assert_int_equal(attr.sched_nice, -5);
		assert_int_equal(attr.sched_priority, 7);
		assert_int_equal(attr.sched_runtime, 1);
		assert_int_equal(attr.sched_deadline, UINT64_MAX);
		assert_int_equal(attr.sched_period, 3);
		assert_int_equal(attr.sched_flags, 0);
	}
}

static void each_flag(void **state)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} flags[] = {
		{"SCHED_FLAG_RESET_ON_FORK", 0x01},
		{"SCHED_FLAG_RECLAIM", 0x02},
		{"SCHED_FLAG_DL_OVERRUN", 0x04},
		{"SCHED_FLAG_KEEP_POLICY", 0x08},
		{"SCHED_FLAG_KEEP_PARAMS", 0x10},
		{"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
		{"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
	};
	Oci__Scheduler s = OCI__SCHEDULER__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(schedule("SCHED_OTHER", flags[i].name, &s), 0);
		assert_int_equal(attr.sched_flags, flags[i].flag);
		assert_int_equal(attr.sched_util_min, 0);
		assert_int_equal(attr.sched_util_max, 0);
	}
}

static void others_are_refused(void **state)
{
	static const char *const policies[] = {"", "FIFO", "SCHED_ISO",
					       "sched_fifo"};
	Oci__Scheduler s = OCI__SCHEDULER__INIT;

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		assert_int_equal(schedule(policies[i], NULL, &s), -EINVAL);
		assert_non_null(strstr(err.text, "scheduler: policy"));
		assert_int_equal(calls, 0);
	}
	assert_int_equal(schedule("SCHED_FIFO", "SCHED_FLAG_ALL", &s), -EINVAL);
	assert_non_null(strstr(err.text, "scheduler: flag SCHED_FLAG_ALL"));
	assert_int_equal(calls, 0);
	refusal = EPERM;
	assert_int_equal(schedule("SCHED_FIFO", NULL, &s), -EPERM);
	assert_non_null(strstr(err.text, "sched_setattr SCHED_FIFO"));
	refusal = 0;
	calls = 0;
	assert_int_equal(scheduler_apply(NULL, &err), 0);
	assert_int_equal(calls, 0);
}

static int prioritise(const char *class, int priority)
{
	Oci__IOPriority p = OCI__IOPRIORITY__INIT;

	p.class_ = str(class);
	p.priority = priority;
	ioprio = -1;
	calls = 0;
	return ioprio_apply(&p, &err);
}

static void io_priorities(void **state)
{
	static const char *const classes[] = {"", "RT", "IOPRIO_CLASS_NONE",
					      "ioprio_class_rt"};

	assert_int_equal(prioritise("IOPRIO_CLASS_RT", 0), 0);
	assert_int_equal(ioprio, IOPRIO_CLASS_RT << IOPRIO_CLASS_SHIFT);
	assert_int_equal(prioritise("IOPRIO_CLASS_BE", 7), 0);
	assert_int_equal(ioprio, IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | 7);
	assert_int_equal(prioritise("IOPRIO_CLASS_IDLE", 3), 0);
	assert_int_equal(ioprio, IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT | 3);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		assert_int_equal(prioritise(classes[i], 0), -EINVAL);
		assert_non_null(strstr(err.text, "ioPriority: class"));
		assert_int_equal(calls, 0);
	}
	assert_int_equal(prioritise("IOPRIO_CLASS_RT", 8), -EINVAL);
	assert_int_equal(prioritise("IOPRIO_CLASS_RT", -1), -EINVAL);
	assert_int_equal(calls, 0);
	refusal = EPERM;
	assert_int_equal(prioritise("IOPRIO_CLASS_RT", 1), -EPERM);
	refusal = 0;
	assert_int_equal(ioprio_apply(NULL, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy),
		cmocka_unit_test(each_flag),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(io_priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

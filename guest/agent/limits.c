/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/limits.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

_Static_assert(ARRAY_SIZE(rlimit_names) == RLIMITS_MAX, "one of each");

static int parse_rlimit(const Oci__POSIXRlimit *in, struct rlimits *out,
			struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++) {
		int resource = rlimit_names[i].resource;

		if (strcmp(in->type, rlimit_names[i].name) != 0)
			continue;
		if (in->soft > in->hard)
			return err_set(err, EINVAL, "%s: soft is above hard",
				       in->type);
		for (unsigned j = 0; j < out->n; j++) {
			if (out->items[j].resource == resource)
				return err_set(err, EINVAL, "%s: given twice",
					       in->type);
		}
		out->items[out->n].resource = resource;
		out->items[out->n].limit.rlim_cur = in->soft;
		out->items[out->n].limit.rlim_max = in->hard;
		out->n++;
		return 0;
	}
	return err_set(err, EINVAL, "rlimit %.64s: unknown", in->type);
}

int rlimits_parse(const Oci__Process *process, struct rlimits *out,
		  struct err *err)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < process->n_rlimits; i++) {
		int ret = parse_rlimit(process->rlimits[i], out, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int rlimits_apply(const struct rlimits *limits, pid_t pid, struct err *err)
{
	for (unsigned i = 0; i < limits->n; i++) {
		if (prlimit(pid,
			    (enum __rlimit_resource)limits->items[i].resource,
			    &limits->items[i].limit, NULL) < 0)
			return err_sys(err, "rlimit %d",
				       limits->items[i].resource);
	}
	return 0;
}

/* The specification has no values for the clamps: they are 0, as runc's. */
static int scheduler_flags(const Oci__Scheduler *s, uint64_t *out,
			   struct err *err)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} known[] = {
		{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
		{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
		{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
		{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
		{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
		{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
		{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
	};

	*out = 0;
	for (size_t i = 0; i < s->n_flags; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(known) &&
		       strcmp(s->flags[i], known[k].name) != 0)
			k++;
		if (k == ARRAY_SIZE(known))
			return err_set(err, EINVAL, "scheduler: flag %.64s",
				       s->flags[i]);
		*out |= known[k].flag;
	}
	return 0;
}

int scheduler_apply(const Oci__Scheduler *s, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t policy;
	} policies[] = {
		{"SCHED_OTHER", SCHED_NORMAL},
		{"SCHED_FIFO", SCHED_FIFO},
		{"SCHED_RR", SCHED_RR},
		{"SCHED_BATCH", SCHED_BATCH},
		{"SCHED_IDLE", SCHED_IDLE},
		{"SCHED_DEADLINE", SCHED_DEADLINE},
	};
	struct sched_attr attr = {.size = sizeof(attr)};
	size_t i = 0;
	int ret;

	if (!s)
		return 0;
	while (i < ARRAY_SIZE(policies) &&
	       strcmp(s->policy, policies[i].name) != 0)
		i++;
	if (i == ARRAY_SIZE(policies))
		return err_set(err, EINVAL, "scheduler: policy %.64s",
			       s->policy);
	ret = scheduler_flags(s, (uint64_t *)&attr.sched_flags, err);
	if (ret < 0)
		return ret;
	attr.sched_policy = policies[i].policy;
	attr.sched_nice = s->nice;
	attr.sched_priority = (uint32_t)s->priority;
	attr.sched_runtime = s->runtime;
	attr.sched_deadline = s->deadline;
	attr.sched_period = s->period;
	if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		return err_sys(err, "scheduler: sched_setattr %s", s->policy);
	return 0;
}

int ioprio_apply(const Oci__IOPriority *p, struct err *err)
{
	int class;

	if (!p)
		return 0;
	if (strcmp(p->class_, "IOPRIO_CLASS_RT") == 0)
		class = IOPRIO_CLASS_RT;
	else if (strcmp(p->class_, "IOPRIO_CLASS_BE") == 0)
		class = IOPRIO_CLASS_BE;
	else if (strcmp(p->class_, "IOPRIO_CLASS_IDLE") == 0)
		class = IOPRIO_CLASS_IDLE;
	else
		return err_set(err, EINVAL, "ioPriority: class %.64s",
			       p->class_);
	if (p->priority < 0 || p->priority > 7)
		return err_set(err, EINVAL, "ioPriority: %d, not 0..7",
			       p->priority);
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		    class << IOPRIO_CLASS_SHIFT | p->priority) < 0)
		return err_sys(err, "ioPriority: ioprio_set");
	return 0;
}

int personality_parse(const Oci__LinuxPersonality *p, long *out,
		      struct err *err)
{
	*out = PERSONALITY_NONE;
	if (!p)
		return 0;
	if (p->n_flags)
		return err_set(err, ENOTSUP, "personality: flags");
	if (strcmp(p->domain, "LINUX") == 0)
		*out = PER_LINUX;
	else if (strcmp(p->domain, "LINUX32") == 0)
		*out = PER_LINUX32;
	else
		return err_set(err, EINVAL, "personality: domain %.64s",
			       p->domain);
	return 0;
}

int personality_apply(long domain, struct err *err)
{
	if (domain == PERSONALITY_NONE)
		return 0;
	return personality((unsigned long)domain) < 0
		       ? err_sys(err, "personality")
		       : 0;
}

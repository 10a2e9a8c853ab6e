/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: kills KERNEL LOOP
 *
 * Whichever process of a machine dies, and by whatever: what is left of it
 * makes no call to the host, none of its processes stays. LOOP is the
 * initramfs image of guest/loop. Processes are sent a signal 40 times, or as
 * NACRE_KILLS says; one of each kind is killed by the host's OOM killer, and
 * one more for each 40 signals.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "integration/uml/machine.h"
#include "integration/uml/memcg.h"
#include "integration/uml/tree.h"

static const char native[] = "NATIVE";

static unsigned random_below(unsigned n)
{
	unsigned value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return value % n;
}

/* kind: 0 the spawner, 1 the kernel, 2 one of the guest's. */
static unsigned choose(const struct tree *tree, unsigned kind)
{
	return kind < 2 ? kind : kind + random_below(tree->count - 2);
}

struct outcome {
	bool over;
	bool quiet; /* no native call was made */
	enum vm_exit_reason reason;
	char text[256];
	unsigned left; /* processes */
};

/* What becomes of the machine, which is then freed. */
static struct outcome outlive(struct test_machine *t, bool must_end,
			      const struct tree *tree)
{
	struct outcome o = {0};

	test_machine_wait(t, native, must_end ? 20000 : 200);
	o.over = t->over;
	o.reason = t->reason;
	memcpy(o.text, t->text, sizeof(o.text));
	/* What runs natively now has time to show it. */
	usleep(20000);
	t->over = false;
	test_machine_wait(t, native, 10);
	o.quiet = strstr(t->console, native) == NULL;
	test_machine_free(t);
	o.left = tree_left(tree);
	return o;
}

/* Signals. --------------------------------------------------------------- */

static const struct {
	int sig;
	const char *name;
} signals[] = {
	{SIGKILL, "KILL"},
	{SIGUSR1, "USR1"},
	{SIGABRT, "ABRT"},
	{SIGTERM, "TERM"},
};

/* Only these end the machine for sure: PID 1 of a namespace takes nothing
 * but KILL, and how a guest's process takes a signal is its kernel's matter. */
static bool must_end(unsigned index, int sig)
{
	return sig == SIGKILL ? index < 2 : index == 1;
}

static void test_signal(const char *initramfs, unsigned round)
{
	int sig = signals[round % ARRAY_SIZE(signals)].sig;
	const char *name = signals[round % ARRAY_SIZE(signals)].name;
	struct test_machine *t = test_machine_run(initramfs, "kill");
	struct outcome o;
	struct tree tree;
	unsigned target;
	bool ended;

	if (!t)
		return;
	test_machine_wait(t, native, random_below(60));
	tree_read(&tree);
	if (tree.count < 3) {
		test_report(false, "%u processes: no guest's", tree.count);
		test_machine_free(t);
		return;
	}
	target = choose(&tree, round / ARRAY_SIZE(signals) % 3);
	kill(tree.all[target].pid, sig);
	o = outlive(t, must_end(target, sig), &tree);
	ended = o.over || !must_end(target, sig);
	test_report(ended && o.quiet && o.left == 0,
		    "SIG%s to the %s: %s%s%u of %u processes left", name,
		    tree_role(target), ended ? "" : "the machine goes on, ",
		    o.quiet ? "" : "a native call was made, ", o.left,
		    tree.count);
}

/* The OOM killer. -------------------------------------------------------- */

/* Of the limit, over what the machine uses when it is set. */
#define ROOM_MIN (256u << 10)
#define ROOM_SPREAD (1u << 20)

/* More than what the kernel's process has, and the cgroup has not: the likes
 * of its program's text. A score of 1000 is the limit's worth of memory, so
 * this lifts it above all that have 0. */
#define BALLAST (64u << 20)

/* Of a process that is to be killed, and of one that is not. */
#define SCORE_MAX "1000"
#define SCORE_NEVER "-1000"

static int set_score(pid_t pid, const char *score)
{
	AUTO_FD int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, score, strlen(score)) < 0)
		return -errno;
	return 0;
}

static bool has_bonus(void)
{
	char text[16] = "";
	AUTO_FD int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

	return fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	       atoi(text) > 0;
}

/*
 * Without CAP_SYS_RESOURCE the others cannot be spared; the target is the
 * first to be killed all the same where they have 0. The target comes last
 * here too: what shares its memory shares its score.
 */
static int expose(const struct tree *tree, unsigned target)
{
	for (unsigned i = 0; i < tree->count; i++) {
		int ret = set_score(tree->all[i].pid, SCORE_NEVER);

		if (ret < 0 && (ret != -EACCES || has_bonus()))
			return ret;
	}
	return set_score(tree->all[target].pid, SCORE_MAX);
}

struct watched {
	struct evsource src;
	bool dead;
};

static void died(struct evsource *src, uint32_t revents)
{
	container_of(src, struct watched, src)->dead = true;
	evsource_del(src);
}

/* Sets the limit; true when the process is dead. */
static bool starve(struct test_machine *t, const struct memcg *cg, pid_t pid,
		   struct err *err)
{
	AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct watched w = {.dead = false};
	uint64_t end = test_now_us() + 10000000u;

	if (pidfd < 0 ||
	    evsource_add(t->loop, &w.src, pidfd, EPOLLIN, died) < 0) {
		err_sys(err, "pidfd");
		return false;
	}
	if (memcg_limit(cg, ROOM_MIN + random_below(ROOM_SPREAD), err) == 0) {
		while (!w.dead && test_now_us() < end)
			evloop_once(t->loop, 100);
		if (!w.dead)
			err_set(err, ETIME, "it lives on");
	}
	evsource_del(&w.src);
	return w.dead;
}

/* A guest's process is its kernel's matter. Where others could not be spared
 * they may have been killed after the target. */
static bool says_why(const struct outcome *o, unsigned target, int kills)
{
	const char *reason = target == 0 ? "init process was killed"
					 : "process was killed by signal 9";

	if (target > 1)
		return kills == 1 || (o->over && o->reason != VM_EXIT_SHUTDOWN);
	return o->over && o->reason == VM_EXIT_ERROR &&
	       strstr(o->text, kills == 1 ? reason : "was killed");
}

static void kill_by_oom(struct test_machine *t, const struct memcg *cg,
			const struct tree *tree, unsigned target)
{
	struct err err = {0};
	bool dead = starve(t, cg, tree->all[target].pid, &err), good;
	struct outcome o;
	int kills;

	/* The rest has all it wants, also to run natively. */
	if (memcg_unlimit(cg, &err) < 0)
		dead = false;
	kills = memcg_kills(cg);
	o = outlive(t, target < 2 || kills > 1, tree);
	good = dead && kills > 0 && says_why(&o, target, kills);
	test_report(good && o.quiet && o.left == 0,
		    "OOM kill of the %s (%d killed): %s%s%s, %s%u of %u "
		    "processes left",
		    tree_role(target), kills, dead ? "" : err.text,
		    dead ? "" : ", ", o.over ? o.text : "the machine goes on",
		    o.quiet ? "" : "a native call was made, ", o.left,
		    tree->count);
}

/* All of the machine's memory is charged to cg, as its first process is there
 * before the machine starts. */
static struct test_machine *run_in(struct memcg *cg, const char *initramfs)
{
	struct err err = {0};
	struct test_machine *t =
		test_machine_new(initramfs, "quiet -- grow", &err);
	struct tree tree;

	if (!t) {
		test_report(false, "OOM kill: %s", err.text);
		return NULL;
	}
	tree_read(&tree);
	if (tree.count == 1 && memcg_move(cg, tree.all[0].pid, &err) == 0 &&
	    memcg_load(cg, BALLAST, &err) == 0)
		return test_machine_up(t, "OOM kill") ? t : NULL;
	test_report(false, "OOM kill: %u processes at first %s", tree.count,
		    err.text);
	test_machine_free(t);
	return NULL;
}

/* False, and reported: it cannot be. */
static bool choose_victim(const struct tree *tree, unsigned kind,
			  unsigned *target)
{
	int ret;

	if (tree->count < 3) {
		test_report(false, "OOM kill: %u processes: no guest's",
			    tree->count);
		return false;
	}
	*target = choose(tree, kind);
	ret = expose(tree, *target);
	if (ret == -EACCES || ret == -EPERM)
		test_skip("OOM kill: oom_score_adj: %s", strerror(-ret));
	else if (ret < 0)
		test_report(false, "OOM kill: oom_score_adj: %s",
			    strerror(-ret));
	return ret == 0;
}

static void test_oom(const char *initramfs, unsigned round)
{
	struct err err = {0};
	struct test_machine *t;
	struct memcg cg;
	struct tree tree;
	unsigned target;
	int ret;

	if (memcg_new(&cg, &err) < 0) {
		test_skip("OOM kill: %s", err.text);
		return;
	}
	t = run_in(&cg, initramfs);
	if (t) {
		tree_read(&tree);
		if (choose_victim(&tree, round % 3, &target))
			kill_by_oom(t, &cg, &tree, target);
		else
			test_machine_free(t);
	}
	ret = memcg_remove(&cg);
	if (ret < 0)
		test_report(false, "%s stays: %s", cg.path, strerror(-ret));
}

int main(int argc, char **argv)
{
	const char *kills = getenv("NACRE_KILLS");
	unsigned n = kills ? (unsigned)atoi(kills) : 40;

	if (argc != 3) {
		fprintf(stderr, "usage: kills KERNEL LOOP\n");
		return 2;
	}
	test_kernel = argv[1];
	for (unsigned i = 0; i < n; i++)
		test_signal(argv[2], i);
	for (unsigned i = 0; i < 3 * (1 + n / 40); i++)
		test_oom(argv[2], i);
	return test_summary();
}

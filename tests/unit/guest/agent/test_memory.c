/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory agent decides, and the kernel's texts it decides from. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/evloop.h"
#include "guest/agent/mem_agent.h"
#include "guest/agent/pressure.h"

static void pressure_text(void **state)
{
	struct pressure p;

	assert_int_equal(
		pressure_parse("some avg10=1.25 avg60=0.50 avg300=0.01 "
			       "total=37820\n"
			       "full avg10=0.00 avg60=0.00 avg300=0.00 "
			       "total=28881\n",
			       &p),
		0);
	assert_true(p.some.avg10 > 1.24 && p.some.avg10 < 1.26);
	assert_int_equal(p.some.total, 37820);
	assert_int_equal(p.full.total, 28881);
	assert_int_equal(pressure_parse("some avg10=0.00 avg60=0.00 "
					"avg300=0.00 total=7\n",
					&p),
			 0);
	assert_int_equal(p.some.total, 7);
	assert_int_equal(p.full.total, 0);
	assert_int_equal(pressure_parse("", &p), -EINVAL);
	assert_int_equal(pressure_parse("some total=1\n", &p), -EINVAL);
}

static void pressure_share(void **state)
{
	struct pressure_window w = {0};

	assert_int_equal(pressure_percent(&w, 500, 1000), 0);
	pressure_open(&w, 1000, 5000);
	assert_int_equal(pressure_percent(&w, 1000, 6000), 0);
	assert_int_equal(pressure_percent(&w, 1250, 6000), 25);
	assert_int_equal(pressure_percent(&w, 3000, 6000), 200);
	/* What went back, in time or in what was counted, is nothing. */
	assert_int_equal(pressure_percent(&w, 900, 6000), 0);
	assert_int_equal(pressure_percent(&w, 2000, 5000), 0);
}

static char seen[512];

static int note(void *arg, const struct lru_gen *lru)
{
	char line[128];

	(void)snprintf(
		line, sizeof(line),
		"%s %u/%u %llu..%llu age %llu anon %llu file %llu\n", lru->path,
		lru->group, lru->node, (unsigned long long)lru->min_seq,
		(unsigned long long)lru->max_seq,
		(unsigned long long)lru->age_ms, (unsigned long long)lru->anon,
		(unsigned long long)lru->file);
	(void)strncat(seen, line, sizeof(seen) - strlen(seen) - 1);
	return arg ? -ENOMEM : 0;
}

static int parse(const char *text, void *arg)
{
	char copy[1024];

	seen[0] = '\0';
	(void)snprintf(copy, sizeof(copy), "%s", text);
	return lru_gen_parse(copy, note, arg);
}

static void lru_gen_text(void **state)
{
	static const char text[] =
		"memcg     1 /\n"
		" node     0\n"
		"          0        540          0           0 \n"
		"          1        540          0           0 \n"
		"          2        530       1990           0 \n"
		"          3        520         73          10 \n"
		"memcg    40 /pod/with space\n"
		" node     0\n"
		"          7      60000         -1         300 \n"
		"          8      30000          5           6 \n"
		" node     1\n"
		"          4       9000         11          12 \n";

	assert_int_equal(parse(text, NULL), 0);
	assert_string_equal(
		seen, "/ 1/0 0..3 age 520 anon 0 file 0\n"
		      "/pod/with space 40/0 7..8 age 30000 anon 0 file 300\n"
		      "/pod/with space 40/1 4..4 age 9000 anon 11 file 12\n");
	assert_int_equal(parse(text, seen), -ENOMEM);
	assert_int_equal(parse("", NULL), 0);
	assert_int_equal(parse("memcg     1 /\n node     0\n", NULL), 0);
	assert_string_equal(seen, "");
	assert_int_equal(parse("          0  1  2  3\n", NULL), -EINVAL);
	assert_int_equal(parse("memcg     1 /\n node     0\nhello\n", NULL),
			 -EINVAL);
}

static void swappiness(void **state)
{
	struct mem_reclaim_config c = {.swap = true, .swappiness_max = 50};
	struct lru_gen now = {.max_seq = 3, .anon = 100, .file = 300}, last;
	bool only = false;

	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, true, &only),
			 50);
	c.swappiness_max = 200;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, false, &only),
			 0);
	c.swap = false;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, true, &only),
			 0);
	c.swap = true;
	c.swappiness_max = 20;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, true, &only),
			 20);
	assert_false(only);
	/* It goes on while there is less of it each time. */
	last = now;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, &last, true, &only),
			 -ENODATA);
	now.file = 299;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, &last, true, &only),
			 20);
	now.file = 0;
	assert_int_equal(mem_reclaim_swappiness(&c, &now, &last, true, &only),
			 -ENODATA);
	/* No file at first: anonymous ones alone, if they can go. */
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, true, &only),
			 200);
	assert_true(only);
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, false, &only),
			 -ENODATA);
	now = (struct lru_gen){.max_seq = 2, .file = 300};
	assert_int_equal(mem_reclaim_swappiness(&c, &now, NULL, true, &only),
			 -ENODATA);
}

static void scattered(void **state)
{
	static const char text[] =
		"Page block order: 9\n"
		"Node    0, zone      DMA, type    Unmovable      1      1 \n"
		"Node    0, zone      DMA, type      Movable      3      2     "
		" "
		"1      0      0      0      0      0      0      1      7 \n"
		"Node    0, zone   Normal, type      Movable >100000      0 \n"
		"\n"
		"Number of blocks type     Unmovable      Movable \n"
		"Node 0, zone   Normal            2           61 \n";

	assert_int_equal(mem_compact_scattered(text, 0), 0);
	assert_int_equal(mem_compact_scattered(text, 1), 100003);
	assert_int_equal(mem_compact_scattered(text, 9), 100011);
	assert_int_equal(mem_compact_scattered(text, 10), 100523);
	assert_int_equal(mem_compact_scattered("", 10), 0);
}

static void due(void **state)
{
	struct mem_compact_config c = {
		.compact_threshold = 100,
		.compact_force_times = MEM_COMPACT_NEVER,
	};
	struct mem_compact_free after = {5000, 200}, now = after;

	assert_false(mem_compact_due(&c, &now, &after, UINT64_MAX));
	now.scattered = 300;
	assert_false(mem_compact_due(&c, &now, &after, 0));
	now.scattered = 301;
	assert_true(mem_compact_due(&c, &now, &after, 0));
	now = (struct mem_compact_free){4900, 200};
	assert_false(mem_compact_due(&c, &now, &after, 0));
	now.all = 4899;
	assert_true(mem_compact_due(&c, &now, &after, 0));
	now = after;
	c.compact_force_times = 2;
	assert_false(mem_compact_due(&c, &now, &after, 1));
	assert_true(mem_compact_due(&c, &now, &after, 2));
	c.compact_force_times = 0;
	assert_true(mem_compact_due(&c, &now, &after, 0));
}

/* Nothing is turned on here: what is in the way of it is left out. */
static void settings(void **state)
{
	struct evloop *loop = evloop_new();
	static struct mem_agent mem;

	assert_non_null(loop);
	assert_int_equal(mem_agent_init(&mem, loop), 0);
	mem_agent_read_cmdline(&mem, "quiet agent.mem_agent_memcg_swap=1");
	assert_false(mem.reclaim.config.swap);
	mem_agent_read_cmdline(
		&mem,
		"agent.mem_agent_enable=1 agent.mem_agent_memcg_disable=true "
		"agent.mem_agent_compact_disable=1 "
		"agent.mem_agent_memcg_swap=1 "
		"agent.mem_agent_memcg_swappiness_max=70 "
		"agent.mem_agent_memcg_period_secs=30 "
		"agent.mem_agent_memcg_period_psi_percent_limit=2 "
		"agent.mem_agent_memcg_eviction_psi_percent_limit=4294967296 "
		"agent.mem_agent_memcg_eviction_run_aging_count_min=x "
		"agent.mem_agent_compact_period_secs=40 "
		"agent.mem_agent_compact_period_psi_percent_limit=6 "
		"agent.mem_agent_compact_psi_percent_limit=7 "
		"agent.mem_agent_compact_sec_max=8 "
		"agent.mem_agent_compact_order=5 "
		"agent.mem_agent_compact_threshold=9 "
		"agent.mem_agent_compact_force_times=10");
	assert_true(mem.reclaim.config.disabled);
	assert_true(mem.reclaim.config.swap);
	assert_int_equal(mem.reclaim.config.swappiness_max, 70);
	assert_int_equal(mem.reclaim.config.period_secs, 30);
	assert_int_equal(mem.reclaim.config.period_psi_percent_limit, 2);
	/* Not usable: as it was. */
	assert_int_equal(mem.reclaim.config.eviction_psi_percent_limit, 1);
	assert_int_equal(mem.reclaim.config.eviction_run_aging_count_min, 3);
	assert_true(mem.compact.config.disabled);
	assert_int_equal(mem.compact.config.period_secs, 40);
	assert_int_equal(mem.compact.config.period_psi_percent_limit, 6);
	assert_int_equal(mem.compact.config.compact_psi_percent_limit, 7);
	assert_int_equal(mem.compact.config.compact_sec_max, 8);
	assert_int_equal(mem.compact.config.compact_order, 5);
	assert_int_equal(mem.compact.config.compact_threshold, 9);
	assert_int_equal(mem.compact.config.compact_force_times, 10);
	/* One setting out of range, and none of them is taken. */
	mem_agent_read_cmdline(&mem, "agent.mem_agent_enable=0 "
				     "agent.mem_agent_memcg_swappiness_max=201 "
				     "agent.mem_agent_memcg_period_secs=31");
	assert_int_equal(mem.reclaim.config.swappiness_max, 70);
	assert_int_equal(mem.reclaim.config.period_secs, 30);
	evtimer_release(&mem.reclaim.timer);
	evtimer_release(&mem.compact.timer);
	evloop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pressure_text),
		cmocka_unit_test(pressure_share),
		cmocka_unit_test(lru_gen_text),
		cmocka_unit_test(swappiness),
		cmocka_unit_test(scattered),
		cmocka_unit_test(due),
		cmocka_unit_test(settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

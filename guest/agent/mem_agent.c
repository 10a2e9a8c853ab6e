/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/mem_agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/number.h"
#include "guest/agent/boot.h"

#define PERIOD_MAX UINT32_MAX /* seconds: a timer counts milliseconds */
#define PREFIX "agent.mem_agent_"

enum setting_type {
	SETTING_BOOL,
	SETTING_U32,
	SETTING_U64
};

struct setting {
	const char *name; /* after PREFIX */
	size_t offset;
	enum setting_type type;
};

#define RECLAIM(field, type)                                                 \
	{                                                                    \
		"memcg_" #field, offsetof(struct mem_reclaim_config, field), \
			type                                                 \
	}
static const struct setting reclaim_settings[] = {
	{"memcg_disable", offsetof(struct mem_reclaim_config, disabled),
	 SETTING_BOOL},
	RECLAIM(swap, SETTING_BOOL),
	RECLAIM(swappiness_max, SETTING_U32),
	RECLAIM(period_secs, SETTING_U64),
	RECLAIM(period_psi_percent_limit, SETTING_U32),
	RECLAIM(eviction_psi_percent_limit, SETTING_U32),
	RECLAIM(eviction_run_aging_count_min, SETTING_U64),
};

#define COMPACT(name, field, type)                                     \
	{                                                              \
		name, offsetof(struct mem_compact_config, field), type \
	}
static const struct setting compact_settings[] = {
	COMPACT("compact_disable", disabled, SETTING_BOOL),
	COMPACT("compact_period_secs", period_secs, SETTING_U64),
	COMPACT("compact_period_psi_percent_limit", period_psi_percent_limit,
		SETTING_U32),
	COMPACT("compact_psi_percent_limit", compact_psi_percent_limit,
		SETTING_U32),
	COMPACT("compact_sec_max", compact_sec_max, SETTING_U64),
	COMPACT("compact_order", compact_order, SETTING_U32),
	COMPACT("compact_threshold", compact_threshold, SETTING_U64),
	COMPACT("compact_force_times", compact_force_times, SETTING_U64),
};

static int check_percent(const char *name, uint32_t percent, struct err *err)
{
	return percent > 100 ? err_set(err, EINVAL, "%s: %u is no percentage",
				       name, percent)
			     : 0;
}

static int check_period(uint64_t secs, struct err *err)
{
	if (secs == 0)
		return err_set(err, EINVAL, "period_secs: 0");
	return secs > PERIOD_MAX ? err_set(err, EINVAL, "period_secs: too long")
				 : 0;
}

static int check_reclaim(const struct mem_reclaim_config *c, struct err *err)
{
	int ret = check_percent("period_psi_percent_limit",
				c->period_psi_percent_limit, err);

	if (!ret)
		ret = check_percent("eviction_psi_percent_limit",
				    c->eviction_psi_percent_limit, err);
	if (!ret)
		ret = check_period(c->period_secs, err);
	if (!ret && c->swappiness_max > MEM_RECLAIM_SWAPPINESS_MAX)
		ret = err_set(err, EINVAL, "swappiness_max: %u is above %u",
			      c->swappiness_max, MEM_RECLAIM_SWAPPINESS_MAX);
	return ret;
}

static int check_compact(const struct mem_compact_config *c, struct err *err)
{
	int ret = check_percent("period_psi_percent_limit",
				c->period_psi_percent_limit, err);

	if (!ret)
		ret = check_percent("compact_psi_percent_limit",
				    c->compact_psi_percent_limit, err);
	if (!ret)
		ret = check_period(c->period_secs, err);
	if (!ret && c->compact_order > MEM_COMPACT_ORDER_MAX)
		ret = err_set(err, EINVAL, "compact_order: %u is above %u",
			      c->compact_order, MEM_COMPACT_ORDER_MAX);
	return ret;
}

static int set_reclaim(struct mem_agent *mem,
		       const struct mem_reclaim_config *config, struct err *err)
{
	int ret = check_reclaim(config, err);

	return ret < 0 ? ret : mem_reclaim_set(&mem->reclaim, config, err);
}

static int set_compact(struct mem_agent *mem,
		       const struct mem_compact_config *config, struct err *err)
{
	int ret = check_compact(config, err);

	return ret < 0 ? ret : mem_compact_set(&mem->compact, config, err);
}

/* A field that the message has. */
#define TAKE(config, msg, has, field)                   \
	do {                                            \
		if ((msg)->has_##has##_case)            \
			(config)->field = (msg)->field; \
	} while (0)

int mem_agent_memcg(struct mem_agent *mem,
		    const Agent__MemAgentMemcgSetRequest *msg, struct err *err)
{
	struct mem_reclaim_config c = mem->reclaim.config;

	TAKE(&c, msg, disabled, disabled);
	TAKE(&c, msg, swap, swap);
	TAKE(&c, msg, swappiness_max, swappiness_max);
	TAKE(&c, msg, period_secs, period_secs);
	TAKE(&c, msg, period_psi, period_psi_percent_limit);
	TAKE(&c, msg, eviction_psi, eviction_psi_percent_limit);
	TAKE(&c, msg, aging, eviction_run_aging_count_min);
	return set_reclaim(mem, &c, err);
}

int mem_agent_compact(struct mem_agent *mem,
		      const Agent__MemAgentCompactSetRequest *msg,
		      struct err *err)
{
	struct mem_compact_config c = mem->compact.config;

	if (msg->has_sec_max_case && msg->compact_sec_max < 0)
		return err_set(err, EINVAL, "compact_sec_max: below 0");
	TAKE(&c, msg, disabled, disabled);
	TAKE(&c, msg, period_secs, period_secs);
	TAKE(&c, msg, period_psi, period_psi_percent_limit);
	TAKE(&c, msg, compact_psi, compact_psi_percent_limit);
	if (msg->has_sec_max_case)
		c.compact_sec_max = (uint64_t)msg->compact_sec_max;
	TAKE(&c, msg, order, compact_order);
	TAKE(&c, msg, threshold, compact_threshold);
	TAKE(&c, msg, force_times, compact_force_times);
	return set_compact(mem, &c, err);
}

static bool parse_bool(const char *text, bool *out)
{
	bool yes = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;

	*out = yes;
	return yes || strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
}

static bool parse_setting(const struct setting *s, const char *text,
			  uint8_t *config)
{
	uint64_t max = s->type == SETTING_U32 ? UINT32_MAX : UINT64_MAX;
	uint64_t value;

	if (s->type == SETTING_BOOL)
		return parse_bool(text, (bool *)(config + s->offset));
	if (number_parse(text, max, &value) < 0)
		return false;
	if (s->type == SETTING_U32)
		memcpy(config + s->offset, &(uint32_t){(uint32_t)value},
		       sizeof(uint32_t));
	else
		memcpy(config + s->offset, &value, sizeof(value));
	return true;
}

static void read_settings(const char *cmdline, const struct setting *settings,
			  size_t n, void *config)
{
	for (size_t i = 0; i < n; i++) {
		char name[64], text[32];

		(void)snprintf(name, sizeof(name), PREFIX "%s",
			       settings[i].name);
		if (boot_option(cmdline, name, text, sizeof(text)) &&
		    !parse_setting(&settings[i], text, config))
			log_warn("%s=%s: not usable", name, text);
	}
}

void mem_agent_read_cmdline(struct mem_agent *mem, const char *cmdline)
{
	struct mem_reclaim_config reclaim = mem->reclaim.config;
	struct mem_compact_config compact = mem->compact.config;
	struct err err = {0};
	char text[8];
	bool enable = false;

	if (!boot_option(cmdline, PREFIX "enable", text, sizeof(text)))
		return;
	if (!parse_bool(text, &enable))
		log_warn(PREFIX "enable=%s: not usable", text);
	reclaim.disabled = compact.disabled = false;
	read_settings(cmdline, reclaim_settings, ARRAY_SIZE(reclaim_settings),
		      &reclaim);
	read_settings(cmdline, compact_settings, ARRAY_SIZE(compact_settings),
		      &compact);
	if (!enable)
		reclaim.disabled = compact.disabled = true;
	if (set_reclaim(mem, &reclaim, &err) < 0)
		log_warn("memory agent: %s", err.text);
	if (set_compact(mem, &compact, &err) < 0)
		log_warn("memory agent: %s", err.text);
}

int mem_agent_init(struct mem_agent *mem, struct evloop *loop)
{
	int ret = mem_reclaim_init(&mem->reclaim, loop);

	return ret < 0 ? ret : mem_compact_init(&mem->compact, loop);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/pressure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define FILE_MAX 4096u

const struct pressure_source pressure_of_system = {"memory", "io"};
const struct pressure_source pressure_of_group = {"memory.pressure",
						  "io.pressure"};

static int parse_line(const char *text, const char *name,
		      struct pressure_line *out)
{
	const char *at = strstr(text, name);

	if (!at ||
	    sscanf(at + strlen(name),
		   " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64,
		   &out->avg10, &out->avg60, &out->avg300, &out->total) != 4)
		return -EINVAL;
	return 0;
}

int pressure_parse(const char *text, struct pressure *out)
{
	*out = (struct pressure){0};
	/* The processor's file had no second line before Linux 5.13. */
	if (strstr(text, "full") && parse_line(text, "full", &out->full) < 0)
		return -EINVAL;
	return parse_line(text, "some", &out->some);
}

int pressure_read(int dir, const char *file, struct pressure *out)
{
	AUTO_FREE char *text = NULL;
	int ret = file_read(dir, file, FILE_MAX, &text, NULL);

	return ret < 0 ? ret : pressure_parse(text, out);
}

int pressure_stalled(int dir, const struct pressure_source *source,
		     uint64_t *us)
{
	struct pressure memory, io;
	int ret = pressure_read(dir, source->memory, &memory);

	if (!ret)
		ret = pressure_read(dir, source->io, &io);
	if (!ret)
		*us = memory.some.total + io.some.total;
	return ret;
}

void pressure_open(struct pressure_window *window, uint64_t stalled,
		   uint64_t now)
{
	*window = (struct pressure_window){true, stalled, now};
}

uint64_t pressure_percent(const struct pressure_window *window,
			  uint64_t stalled, uint64_t now)
{
	if (!window->open || stalled <= window->stalled || now <= window->since)
		return 0;
	return (stalled - window->stalled) * 100 / (now - window->since);
}

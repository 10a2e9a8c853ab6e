/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/hotplug.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define CPU_DIR "/sys/devices/system/cpu"
#define MEMORY_DIR "/sys/devices/system/memory"

static bool is_unit(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 && name[len] &&
	       name[len + strspn(name + len, "0123456789")] == '\0';
}

/*
 * Brings `prefix`N online below dir and counts those that are. A unit that
 * cannot be switched has no file "online" and is always on.
 */
static int online_all(const char *dir, const char *prefix, unsigned *online,
		      struct err *err)
{
	AUTO(cleanup_dir) DIR *d = opendir(dir);
	const struct dirent *e;

	*online = 0;
	if (!d)
		return err_sys(err, "%s", dir);
	while ((e = readdir(d))) {
		AUTO_FREE char *text = NULL;
		char path[512];
		int ret;

		if (!is_unit(e->d_name, prefix))
			continue;
		(void)snprintf(path, sizeof(path), "%s/online", e->d_name);
		ret = file_read(dirfd(d), path, 16, &text, NULL);
		if (!ret && text[0] == '0')
			ret = file_write(dirfd(d), path, "1");
		if (ret < 0 && ret != -ENOENT)
			return err_ret(err, ret, "%s/%s", dir, path);
		(*online)++;
	}
	return 0;
}

int hotplug_online(const Agent__OnlineCpuMemRequest *msg, struct err *err)
{
	unsigned cpus, blocks;
	int ret = online_all(CPU_DIR, "cpu", &cpus, err);

	if (!ret && !msg->cpu_only && access(MEMORY_DIR, F_OK) == 0)
		ret = online_all(MEMORY_DIR, "memory", &blocks, err);
	if (ret < 0)
		return ret;
	if (msg->wait && cpus < msg->nb_cpus)
		return err_set(err, EAGAIN, "%u processors of %u: not there",
			       msg->nb_cpus - cpus, msg->nb_cpus);
	return 0;
}

uint64_t hotplug_block_size(void)
{
	AUTO_FREE char *text = NULL;

	if (file_read(AT_FDCWD, MEMORY_DIR "/block_size_bytes", 64, &text,
		      NULL) < 0)
		return 0;
	return strtoull(text, NULL, 16);
}

bool hotplug_can_probe(void)
{
	return access(MEMORY_DIR "/probe", F_OK) == 0;
}

/* Nothing takes memory back, so all is looked at before the first of it. */
static int probe_valid(const Agent__MemHotplugByProbeRequest *msg,
		       struct err *err)
{
	uint64_t block = hotplug_block_size();

	if (msg->n_addresses && !hotplug_can_probe())
		return err_set(err, ENOTSUP,
			       "this kernel finds memory by itself: "
			       "it has no " MEMORY_DIR "/probe");
	for (size_t i = 0; block && i < msg->n_addresses; i++) {
		if (msg->addresses[i] % block)
			return err_set(err, EINVAL,
				       "memory at %#" PRIx64
				       ": blocks are of %#" PRIx64 " bytes",
				       msg->addresses[i], block);
	}
	return 0;
}

int hotplug_probe(const Agent__MemHotplugByProbeRequest *msg, struct err *err)
{
	int ret = probe_valid(msg, err);

	for (size_t i = 0; !ret && i < msg->n_addresses; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%#" PRIx64,
			       msg->addresses[i]);
		ret = file_write(AT_FDCWD, MEMORY_DIR "/probe", text);
		if (ret < 0)
			return err_ret(err, ret,
				       "memory at %s, after %zu of %zu blocks",
				       text, i, msg->n_addresses);
	}
	return ret;
}

int swap_add(const char *path, struct err *err)
{
	if (swapon(path, 0) == 0)
		return 0;
	if (errno == ENOSYS)
		return err_set(err, ENOTSUP, "this kernel has no swap");
	return err_sys(err, "swap on %s", path);
}

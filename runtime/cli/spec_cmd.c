/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "runtime/cli/cli.h"

static const char *const default_caps[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",	 "CAP_FSETID",
	"CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",	 "CAP_SETGID",
	"CAP_SETPCAP", "CAP_SETUID",	       "CAP_SYS_CHROOT",
};

static const struct {
	const char *destination;
	const char *type;
	const char *source;
	const char *options; /* separated by commas */
} default_mounts[] = {
	{"/proc", "proc", "proc", "nosuid,noexec,nodev"},
	{"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
	{"/dev/pts", "devpts", "devpts",
	 "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"/dev/shm", "tmpfs", "shm",
	 "nosuid,noexec,nodev,mode=1777,size=65536k"},
	{"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
	{"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
	{"/sys/fs/cgroup", "cgroup", "cgroup",
	 "nosuid,noexec,nodev,relatime,ro"},
};

static const char *const masked_paths[] = {
	"/proc/acpi",	       "/proc/kcore",	   "/proc/keys",
	"/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug",   "/sys/firmware",	   "/proc/scsi",
};

static const char *const readonly_paths[] = {
	"/proc/bus",	       "/proc/fs", "/proc/irq", "/proc/sys",
	"/proc/sysrq-trigger",
};

static const char *const namespaces[] = {"pid", "network", "ipc",
					 "uts", "mount",   "cgroup"};

static void write_strings(struct jsonw *w, const char *key,
			  const char *const *list, size_t n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_str(w, list[i]);
	jsonw_end_array(w);
}

static void write_capabilities(struct jsonw *w)
{
	static const char *const sets[] = {"bounding", "effective",
					   "permitted"};

	jsonw_key(w, "capabilities");
	jsonw_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		write_strings(w, sets[i], default_caps,
			      ARRAY_SIZE(default_caps));
	jsonw_end_object(w);
}

static void write_process(struct jsonw *w)
{
	static const char *const args[] = {"sh"};
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		"/sbin:/bin",
		"TERM=xterm",
	};

	jsonw_key(w, "process");
	jsonw_object(w);
	jsonw_kbool(w, "terminal", true);
	jsonw_key(w, "user");
	jsonw_object(w);
	jsonw_kint(w, "uid", 0);
	jsonw_kint(w, "gid", 0);
	jsonw_end_object(w);
	write_strings(w, "args", args, ARRAY_SIZE(args));
	write_strings(w, "env", env, ARRAY_SIZE(env));
	jsonw_kstr(w, "cwd", "/");
	write_capabilities(w);
	jsonw_kbool(w, "noNewPrivileges", true);
	jsonw_end_object(w);
}

static void write_options(struct jsonw *w, const char *options)
{
	char copy[128];
	char *next = copy;
	const char *option;

	snprintf(copy, sizeof(copy), "%s", options);
	jsonw_key(w, "options");
	jsonw_array(w);
	while ((option = strsep(&next, ",")))
		jsonw_str(w, option);
	jsonw_end_array(w);
}

static void write_mounts(struct jsonw *w)
{
	jsonw_key(w, "mounts");
	jsonw_array(w);
	for (size_t i = 0; i < ARRAY_SIZE(default_mounts); i++) {
		jsonw_object(w);
		jsonw_kstr(w, "destination", default_mounts[i].destination);
		jsonw_kstr(w, "type", default_mounts[i].type);
		jsonw_kstr(w, "source", default_mounts[i].source);
		write_options(w, default_mounts[i].options);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void write_linux(struct jsonw *w)
{
	jsonw_key(w, "linux");
	jsonw_object(w);
	jsonw_key(w, "namespaces");
	jsonw_array(w);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		jsonw_object(w);
		jsonw_kstr(w, "type", namespaces[i]);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	write_strings(w, "maskedPaths", masked_paths, ARRAY_SIZE(masked_paths));
	write_strings(w, "readonlyPaths", readonly_paths,
		      ARRAY_SIZE(readonly_paths));
	jsonw_end_object(w);
}

int cmd_spec(const struct cli *cli, struct err *err)
{
	struct jsonw *w = jsonw_new(true);
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	size_t len;
	int ret;

	if (!w || asprintf(&path, "%s/config.json",
			   cli->bundle ? cli->bundle : ".") < 0) {
		path = NULL;
		jsonw_free(w);
		return err_set(err, ENOMEM, "out of memory");
	}
	jsonw_object(w);
	jsonw_kstr(w, "ociVersion", "1.2.0");
	write_process(w);
	jsonw_key(w, "root");
	jsonw_object(w);
	jsonw_kstr(w, "path", "rootfs");
	jsonw_kbool(w, "readonly", true);
	jsonw_end_object(w);
	jsonw_kstr(w, "hostname", "nacre");
	write_mounts(w);
	write_linux(w);
	jsonw_end_object(w);
	text = jsonw_finish(w, &len);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	if (!access(path, F_OK))
		return err_set(err, EEXIST, "%s exists, move it away first",
			       path);
	ret = file_replace(AT_FDCWD, path, text, len, 0644);
	return ret < 0 ? err_ret(err, ret, "write %s", path) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the runtime and this host: features, check. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonw.h"
#include "runtime/cli/cli.h"
#include "runtime/config.h"
#include "vmm/vmm.h"

static void write_strings(struct jsonw *w, const char *key,
			  const char *const *list)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (; *list; list++)
		jsonw_str(w, *list);
	jsonw_end_array(w);
}

static void enabled(struct jsonw *w, const char *key, bool yes)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kbool(w, "enabled", yes);
	jsonw_end_object(w);
}

static void write_linux_features(struct jsonw *w)
{
	static const char *const namespaces[] = {
		"cgroup", "ipc",  "mount", "network", "pid",
		"time",	  "user", "uts",   NULL,
	};

	jsonw_key(w, "linux");
	jsonw_object(w);
	write_strings(w, "namespaces", namespaces);
	jsonw_key(w, "cgroup");
	jsonw_object(w);
	jsonw_kbool(w, "v1", false);
	jsonw_kbool(w, "v2", true);
	jsonw_kbool(w, "systemd", true);
	jsonw_kbool(w, "systemdUser", false);
	jsonw_end_object(w);
	enabled(w, "seccomp", true);
	enabled(w, "apparmor", false);
	enabled(w, "selinux", false);
	enabled(w, "intelRdt", false);
	jsonw_key(w, "mountExtensions");
	jsonw_object(w);
	enabled(w, "idmap", true);
	jsonw_end_object(w);
	jsonw_end_object(w);
}

/* features.md of the OCI runtime specification. */
int cmd_features(const struct cli *cli, struct err *err)
{
	static const char *const hooks[] = {
		"prestart",
		"createRuntime",
		"createContainer",
		"startContainer",
		"poststart",
		"poststop",
		NULL,
	};
	struct jsonw *w = jsonw_new(true);

	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	jsonw_object(w);
	jsonw_kstr(w, "ociVersionMin", "1.0.0");
	jsonw_kstr(w, "ociVersionMax", "1.2.0");
	write_strings(w, "hooks", hooks);
	write_linux_features(w);
	jsonw_key(w, "annotations");
	jsonw_object(w);
	jsonw_kstr(w, "io.nacre.version", NACRE_VERSION);
	jsonw_end_object(w);
	jsonw_end_object(w);
	return cli_print_json(w, err);
}

static void check_machine(const char *name)
{
	struct err err;

	if (!vm_probe(name, &err))
		printf("machine %-4s  yes\n", name);
	else
		printf("machine %-4s  no: %s\n", name, err.text);
}

/* key: of the configuration, which names the file. */
static bool check_file(const char *key, const char *path)
{
	if (!access(path, R_OK)) {
		printf("%-13s %s\n", key, path);
		return true;
	}
	printf("%-13s no: %s: %s; `make install` puts it there, \"%s\" of the "
	       "configuration names another\n",
	       key, path, strerror(errno), key);
	return false;
}

/* What this host offers. 0 when a sandbox can start here, 1 otherwise. */
int cmd_check(const struct cli *cli, struct err *err)
{
	struct config *config = config_load(cli->config, err);
	const char *machine;
	struct err why;
	bool ok;

	if (!config)
		return -err->code;
	printf("configuration %s\n",
	       config->path ? config->path : "built-in defaults");
	check_machine("kvm");
	check_machine("uml");
	machine = strcmp(config->machine, "auto") ? config->machine
						  : vm_auto_machine(&why);
	if (machine)
		printf("chosen        %s (machine = \"%s\")\n", machine,
		       config->machine);
	else
		printf("chosen        none: %s\n", why.text);
	if (machine && !strcmp(machine, "uml"))
		ok = check_file("uml_kernel", config->uml_kernel);
	else
		ok = machine && check_file("kernel", config->kernel);
	ok = check_file("initrd", config->initrd) && ok;
	config_free(config);
	return ok ? 0 : 1;
}

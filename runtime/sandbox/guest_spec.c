/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification as the guest gets it: paths of the host become paths
 * below the shared tree, what belongs to the host is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-proto/idmap.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/share.h"

static Oci__Spec *copy(const Oci__Spec *spec)
{
	size_t len = oci__spec__get_packed_size(spec);
	AUTO_FREE uint8_t *bytes = malloc(len + 1);

	if (!bytes)
		return NULL;
	oci__spec__pack(spec, bytes);
	return oci__spec__unpack(NULL, len, bytes);
}

static int replace(char **field, const char *value)
{
	char *new = strdup(value);

	if (!new)
		return -ENOMEM;
	if (*field != (char *)protobuf_c_empty_string)
		free(*field);
	*field = new;
	return 0;
}

bool mount_is_bind(const Oci__Mount *m)
{
	if (!strcmp(m->type, "bind"))
		return true;
	for (size_t i = 0; i < m->n_options; i++)
		if (!strcmp(m->options[i], "bind") ||
		    !strcmp(m->options[i], "rbind"))
			return true;
	return false;
}

static bool has_option(const Oci__Mount *m, const char *name)
{
	for (size_t i = 0; i < m->n_options; i++)
		if (!strcmp(m->options[i], name))
			return true;
	return false;
}

/* The mount point in the shared tree: of the source's kind. */
static int make_target(const char *path, mode_t kind, struct err *err)
{
	AUTO_FD int fd = -1;

	if (S_ISDIR(kind)) {
		if (mkdir(path, 0755) < 0)
			return err_sys(err, "mkdir %s", path);
		return 0;
	}
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
		  0644);
	return fd < 0 ? err_sys(err, "create %s", path) : 0;
}

/* Names in the shared tree: the index tells them apart, the rest is for
 * people, and loses what is not plain. */
void mount_share_name(char *name, size_t size, size_t index, const char *dest)
{
	const char *base = strrchr(dest, '/');
	size_t n;

	snprintf(name, size, "%zu-%.100s", index, base ? base + 1 : dest);
	for (n = 0; name[n]; n++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
			    "YZ0123456789._-",
			    name[n]))
			name[n] = '_';
}

int mount_open_source(const struct container *c, size_t index, mode_t *mode,
		      struct err *err)
{
	const Oci__Mount *m = c->spec->mounts[index];
	AUTO_FREE char *source = NULL;
	AUTO_FD int fd = -1;
	struct stat st;
	int ret;

	/* Relative to the bundle, as runc and crun take it. */
	ret = m->source[0] == '/'
		      ? asprintf(&source, "%s", m->source)
		      : asprintf(&source, "%s/%s", c->bundle, m->source);
	if (ret < 0) {
		source = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	fd = share_open(source, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_ret(err, fd < 0 ? fd : -errno,
			       "mounts[%zu] (%s): source %s", index,
			       m->destination, source);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return err_set(err, EOPNOTSUPP,
			       "mounts[%zu] (%s): source %s is a device of the "
			       "host",
			       index, m->destination, source);
	*mode = st.st_mode;
	return steal_fd(&fd);
}

/* With other owners where the mount asks for it. */
static int bind_mapped(const struct container *c, Oci__Mount *m, int from,
		       const char *host, unsigned flags, struct err *err)
{
	AUTO_FD int userns = -1;
	bool recursive;

	if (!idmap_wanted(m, &recursive))
		return share_bind(from, host, flags, -1, err);
	userns = idmap_userns(m, c->spec->linux_config, err);
	if (userns < 0)
		return userns;
	idmap_strip(m);
	if (recursive)
		flags |= SHARE_IDMAP_RECURSIVE;
	return share_bind(from, host, flags, userns, err);
}

static int bind_volume(struct container *c, Oci__Mount *m, size_t index,
		       struct err *err)
{
	AUTO_FREE char *host = NULL;
	AUTO_FREE char *guest = NULL;
	unsigned flags = 0;
	char name[128];
	mode_t mode;
	/* Opened once: what is looked at is what is mounted. */
	AUTO_FD int from = mount_open_source(c, index, &mode, err);
	int ret;

	if (from < 0)
		return from;
	mount_share_name(name, sizeof(name), index, m->destination);
	if (asprintf(&host, "%s/shared/%s/%s", c->sandbox->dir, c->id, name) <
		    0 ||
	    asprintf(&guest, GUEST_SHARED "/%s/%s", c->id, name) < 0)
		return err_set(err, ENOMEM, "out of memory");
	ret = make_target(host, mode, err);
	if (ret < 0)
		return ret;
	if (has_option(m, "rbind"))
		flags |= SHARE_RECURSIVE;
	/* What the guest must not write, the host does not let it write. */
	if (has_option(m, "ro") || has_option(m, "rro"))
		flags |= SHARE_READ_ONLY;
	if (bind_mapped(c, m, from, host, flags, err) < 0)
		return err_wrap(err, "mounts[%zu] (%s): source %s", index,
				m->destination, m->source);
	return replace(&m->source, guest);
}

/* Processors and nodes are the host's: host_cgroup.c has those of the first
 * container for the sandbox. The kubelet may send them for each. */
static void edit_resources(const struct container *c, Oci__LinuxResources *r)
{
	if (!r || !r->cpu)
		return;
	if (c->pod_container && (r->cpu->cpus[0] || r->cpu->mems[0]))
		log_warn("container %s: linux.resources.cpu.cpus and mems: "
			 "those of the pod's first container hold",
			 c->id);
	(void)!replace(&r->cpu->cpus, "");
	(void)!replace(&r->cpu->mems, "");
}

/*
 * The guest's network is the pod's. So are its IPC and UTS namespaces: the
 * first container of a pod has them, wherever its engine made some on the
 * host, and others name the first one's by a path. A PID namespace with a path
 * is that of the pod, which the agent has.
 */
static bool drop_namespace(const struct container *c, enum oci_role role,
			   const Oci__LinuxNamespace *ns)
{
	bool pods = !strcmp(ns->type, "ipc") || !strcmp(ns->type, "uts");

	if (!strcmp(ns->type, "network") || (pods && role == OCI_POD_SANDBOX))
		return true;
	return c->pod_container && ns->path[0] &&
	       (pods || !strcmp(ns->type, "pid"));
}

static int edit_namespaces(struct container *c, Oci__Linux *l, struct err *err)
{
	enum oci_role role;
	const char *unused;
	size_t kept = 0;
	int ret = oci_role(c->spec, &role, &unused, err);

	for (size_t i = 0; i < l->n_namespaces; i++) {
		Oci__LinuxNamespace *ns = l->namespaces[i];

		if (c->pod_container && ns->path[0] && !strcmp(ns->type, "pid"))
			c->shared_pid = true;
		if (drop_namespace(c, role, ns)) {
			oci__linux_namespace__free_unpacked(ns, NULL);
			continue;
		}
		if (ns->path[0] && !ret)
			ret = err_set(err, EOPNOTSUPP,
				      "linux.namespaces: %s namespace %s: a "
				      "VM cannot join it",
				      ns->type, ns->path);
		l->namespaces[kept++] = ns;
	}
	l->n_namespaces = kept;
	return ret;
}

static void drop_hooks(Oci__Hook ***hooks, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		oci__hook__free_unpacked((*hooks)[i], NULL);
	free(*hooks);
	*hooks = NULL;
	*n = 0;
}

static void edit_hooks(Oci__Hooks *h)
{
	if (!h)
		return;
	drop_hooks(&h->prestart, &h->n_prestart);
	drop_hooks(&h->create_runtime, &h->n_create_runtime);
	drop_hooks(&h->poststart, &h->n_poststart);
	drop_hooks(&h->poststop, &h->n_poststop);
}

/* Engines on hosts with AppArmor send one always. */
static void edit_process(const struct container *c, Oci__Process *process)
{
	if (process->apparmor_profile[0])
		log_debug("container %s: process.apparmorProfile: the guest "
			  "has no AppArmor",
			  c->id);
	(void)!replace(&process->apparmor_profile, "");
}

static int edit(struct container *c, Oci__Spec *spec, struct err *err)
{
	Oci__Linux *l = spec->linux_config;
	AUTO_FREE char *root = NULL;
	AUTO_FREE char *cgroup = NULL;
	int ret = 0;

	if (asprintf(&root, GUEST_SHARED "/%s/rootfs", c->id) < 0 ||
	    asprintf(&cgroup, "/%s", c->id) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (replace(&spec->root->path, root) < 0)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; !ret && i < spec->n_mounts; i++)
		if (mount_is_bind(spec->mounts[i]))
			ret = bind_volume(c, spec->mounts[i], i, err);
	edit_hooks(spec->hooks);
	edit_process(c, spec->process);
	if (ret < 0 || !l)
		return ret;
	ret = edit_namespaces(c, l, err);
	edit_resources(c, l->resources);
	(void)!replace(&l->cgroups_path, cgroup);
	if (c->sandbox->args->config->disable_guest_seccomp && l->seccomp) {
		oci__linux_seccomp__free_unpacked(l->seccomp, NULL);
		l->seccomp = NULL;
	}
	return ret;
}

Oci__Spec *guest_spec(struct container *c, struct err *err)
{
	Oci__Spec *spec = copy(c->spec);

	if (!spec) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (edit(c, spec, err) < 0) {
		oci__spec__free_unpacked(spec, NULL);
		return NULL;
	}
	return spec;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-proto/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define RANGES_MAX 340u /* the kernel's, of one map */

bool idmap_wanted(const Oci__Mount *m, bool *recursive)
{
	bool wanted = m->n_uid_mappings || m->n_gid_mappings;

	*recursive = false;
	for (size_t i = 0; i < m->n_options; i++) {
		if (!strcmp(m->options[i], "ridmap"))
			wanted = *recursive = true;
		else if (!strcmp(m->options[i], "idmap"))
			wanted = true;
	}
	return wanted;
}

static int write_map(pid_t pid, const char *name, size_t n,
		     Oci__LinuxIDMapping *const *map, struct err *err)
{
	AUTO_FREE char *text = NULL;
	char path[64];
	size_t len = 0;
	FILE *f;
	int ret;

	if (n == 0 || n > RANGES_MAX)
		return err_set(err, EINVAL, "id mapping: %zu ranges in %s", n,
			       name);
	f = open_memstream(&text, &len);
	if (!f)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%u %u %u\n", map[i]->container_id, map[i]->host_id,
			map[i]->size);
	if (fclose(f) != 0)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	ret = file_write(AT_FDCWD, path, text);
	return ret < 0 ? err_ret(err, ret, "id mapping: %s", name) : 0;
}

static int make(pid_t pid, const Oci__Mount *m, const Oci__Linux *l,
		struct err *err)
{
	bool own = m->n_uid_mappings || m->n_gid_mappings;
	char path[64];
	int ret, fd;

	if (!own && (!l || !l->n_uid_mappings || !l->n_gid_mappings))
		return err_set(err, EINVAL,
			       "id mapping: neither the mount nor the "
			       "container has one");
	ret = write_map(pid, "uid_map",
			own ? m->n_uid_mappings : l->n_uid_mappings,
			own ? m->uid_mappings : l->uid_mappings, err);
	if (!ret)
		ret = write_map(pid, "gid_map",
				own ? m->n_gid_mappings : l->n_gid_mappings,
				own ? m->gid_mappings : l->gid_mappings, err);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "id mapping: %s", path) : fd;
}

int idmap_userns(const Oci__Mount *m, const Oci__Linux *l, struct err *err)
{
	/* As fork(2), which cannot: a namespace needs a process at first. */
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL,
				   NULL, NULL, NULL);
	int fd;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0)
		return err_sys(err, "id mapping: user namespace");
	fd = make(pid, m, l, err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

static void free_mappings(Oci__LinuxIDMapping ***map, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		oci__linux_idmapping__free_unpacked((*map)[i], NULL);
	free(*map);
	*map = NULL;
	*n = 0;
}

void idmap_strip(Oci__Mount *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_options; i++) {
		if (!strcmp(m->options[i], "idmap") ||
		    !strcmp(m->options[i], "ridmap"))
			free(m->options[i]);
		else
			m->options[kept++] = m->options[i];
	}
	m->n_options = kept;
	free_mappings(&m->uid_mappings, &m->n_uid_mappings);
	free_mappings(&m->gid_mappings, &m->n_gid_mappings);
}

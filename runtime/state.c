/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/jsonw.h"
#include "runtime/oci/spec.h"

#define STATE_MAX (1u << 20) /* bytes of state.json */

const char *state_default_root(void)
{
	static char path[256];
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 || !dir || dir[0] != '/')
		return "/run/nacre";
	snprintf(path, sizeof(path), "%s/nacre", dir);
	return path;
}

int state_claim(const char *root, const char *id, struct err *err)
{
	AUTO_FREE char *dir = NULL;
	int ret = mkdir_all(root, 0700);

	if (ret < 0)
		return err_ret(err, ret, "state directory %s", root);
	if (asprintf(&dir, "%s/%s", root, id) < 0) {
		dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (!mkdir(dir, 0700))
		return 0;
	if (errno == EEXIST)
		return err_set(err, EEXIST,
			       "container with id \"%s\" already exists", id);
	return err_sys(err, "state directory %s", dir);
}

static int save(const char *root, const struct state *s, const char *name,
		struct err *err)
{
	struct jsonw *w = jsonw_new(true);
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int ret;

	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	jsonw_object(w);
	jsonw_kstr(w, "id", s->id);
	jsonw_kstr(w, "sandbox", s->sandbox);
	jsonw_kstr(w, "bundle", s->bundle);
	jsonw_kstr(w, "rootfs", s->rootfs);
	jsonw_kstr(w, "created", s->created);
	jsonw_kint(w, "pid", s->pid);
	jsonw_ku64(w, "pid_start", s->pid_start);
	jsonw_kint(w, "supervisor", s->supervisor);
	jsonw_ku64(w, "supervisor_start", s->supervisor_start);
	jsonw_ku64(w, "owner", s->owner);
	jsonw_kstr(w, "cgroup", s->cgroup);
	jsonw_kstr(w, "netns", s->netns);
	jsonw_kbool(w, "netns_created", s->netns_created);
	jsonw_key(w, "annotations");
	jsonw_object(w);
	for (size_t i = 0; i + 1 < s->nannotations; i += 2)
		jsonw_kstr(w, s->annotations[i], s->annotations[i + 1]);
	jsonw_end_object(w);
	jsonw_end_object(w);
	text = jsonw_finish(w, &len);
	if (!text || asprintf(&path, "%s/%s/%s", root, s->id, name) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	ret = file_replace(AT_FDCWD, path, text, len, 0600);
	if (ret < 0)
		return err_ret(err, ret, "write %s", path);
	return 0;
}

int state_save(const char *root, const struct state *s, struct err *err)
{
	return save(root, s, "state.json", err);
}

int state_save_early(const char *root, const struct state *s, struct err *err)
{
	return save(root, s, "early.json", err);
}

static int copy_string(const struct json *root, const char *key, char **out,
		       struct err *err)
{
	const char *text = NULL;
	int ret = json_string_opt(root, key, &text, err);

	if (ret < 0 || !text)
		return ret;
	*out = strdup(text);
	return *out ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int copy_annotations(const struct json *root, struct state *s,
			    struct err *err)
{
	const struct json *obj;
	int ret = json_object_opt(root, "annotations", &obj, err);
	size_t n = json_count(obj);

	if (ret < 0 || !n)
		return ret;
	s->annotations = calloc(2 * n, sizeof(char *));
	if (!s->annotations)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *value;

		ret = json_as_string(json_at(obj, i), &value, err);
		if (ret < 0)
			return ret;
		s->annotations[s->nannotations++] = strdup(json_key(obj, i));
		s->annotations[s->nannotations++] = strdup(value);
	}
	return 0;
}

static int parse(const struct json *root, struct state *s, struct err *err)
{
	int64_t pid = 0, supervisor = 0, owner = 0;
	int ret = copy_string(root, "id", &s->id, err);

	if (!ret)
		ret = copy_string(root, "sandbox", &s->sandbox, err);
	if (!ret)
		ret = copy_string(root, "bundle", &s->bundle, err);
	if (!ret)
		ret = copy_string(root, "rootfs", &s->rootfs, err);
	if (!ret)
		ret = copy_string(root, "created", &s->created, err);
	if (!ret)
		ret = copy_string(root, "cgroup", &s->cgroup, err);
	if (!ret)
		ret = copy_string(root, "netns", &s->netns, err);
	if (!ret)
		ret = json_bool_opt(root, "netns_created", &s->netns_created,
				    err);
	if (!ret)
		ret = json_int_opt(root, "pid", 0, INT32_MAX, &pid, err);
	if (!ret)
		ret = json_u64_opt(root, "pid_start", &s->pid_start, err);
	if (!ret)
		ret = json_int_opt(root, "supervisor", 0, INT32_MAX,
				   &supervisor, err);
	if (!ret)
		ret = json_u64_opt(root, "supervisor_start",
				   &s->supervisor_start, err);
	if (!ret)
		ret = json_int_opt(root, "owner", 0, UINT32_MAX, &owner, err);
	if (!ret)
		ret = copy_annotations(root, s, err);
	if (!ret &&
	    (!s->id || !s->sandbox || !s->bundle || !s->rootfs || !s->created))
		ret = json_fail(root, err, "incomplete");
	s->pid = (pid_t)pid;
	s->supervisor = (pid_t)supervisor;
	s->owner = (uid_t)owner;
	return ret;
}

static struct state *load(const char *root, const char *id, const char *name,
			  struct err *err)
{
	AUTO_FREE char *path = NULL;
	struct state *s;
	struct json *tree;

	if (asprintf(&path, "%s/%s/%s", root, id, name) < 0) {
		path = NULL;
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (access(path, F_OK)) {
		err_set(err, ENOENT, "container \"%s\" does not exist", id);
		return NULL;
	}
	tree = json_load(path, STATE_MAX, 0, err);
	if (!tree)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		err_set(err, ENOMEM, "out of memory");
	if (s && parse(tree, s, err) < 0) {
		state_free(s);
		s = NULL;
	}
	json_free(tree);
	return s;
}

struct state *state_load(const char *root, const char *id, struct err *err)
{
	return load(root, id, "state.json", err);
}

struct state *state_load_early(const char *root, const char *id,
			       struct err *err)
{
	return load(root, id, "early.json", err);
}

void state_free(struct state *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nannotations; i++)
		free(s->annotations[i]);
	free(s->annotations);
	free(s->id);
	free(s->sandbox);
	free(s->bundle);
	free(s->rootfs);
	free(s->created);
	free(s->cgroup);
	free(s->netns);
	free(s);
}

int state_remove(const char *root, const char *id)
{
	AUTO_FREE char *dir = NULL;

	if (asprintf(&dir, "%s/%s", root, id) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	return remove_tree(AT_FDCWD, dir);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **state_list(const char *root, struct err *err)
{
	AUTO_DIR DIR *dir = opendir(root);
	size_t n = 0, room = 16;
	char **list = calloc(room + 1, sizeof(char *));
	struct dirent *entry;

	if (!dir && errno != ENOENT) {
		err_sys(err, "state directory %s", root);
		free(list);
		return NULL;
	}
	while (list && dir && (entry = readdir(dir))) {
		struct err ignored;

		if (oci_check_id(entry->d_name, &ignored) < 0)
			continue;
		if (n == room) {
			char **bigger = reallocarray(list, 2 * room + 1,
						     sizeof(char *));

			if (!bigger)
				break;
			list = bigger;
			room *= 2;
		}
		list[n] = strdup(entry->d_name);
		if (list[n])
			list[++n] = NULL;
	}
	if (!list) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	qsort(list, n, sizeof(char *), compare);
	return list;
}

uint64_t process_start_time(pid_t pid)
{
	AUTO_FREE char *text = NULL;
	unsigned long long start = 0;
	char path[64];
	char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	/* The command name may hold anything, its last ')' ends it: the
	 * fields that follow are the third to the twenty-second. */
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u "
			 "%*u %*d %*d %*d %*d %*d %*d %llu",
			 &start) != 1)
		return 0;
	/* A zombie does not run any more. */
	return p[2] == 'Z' || p[2] == 'X' ? 0 : start;
}

bool process_alive(pid_t pid, uint64_t start)
{
	return start && process_start_time(pid) == start;
}

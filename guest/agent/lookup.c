/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *env_get(char *const *env, size_t n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < n; i++) {
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return env[i] + len + 1;
	}
	return NULL;
}

/* 0, or -errno that says why it cannot be executed. */
static int try_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!(st.st_mode & 0111) || access(path, X_OK) < 0)
		return -EACCES;
	return 0;
}

static int fail(struct err *err, const char *file, int code)
{
	if (code == -ENOENT || code == -ENOTDIR)
		return err_set(err, ENOENT,
			       "exec: \"%.200s\": stat %.200s: no such file or "
			       "directory",
			       file, file);
	if (code == -EACCES)
		return err_set(err, EACCES,
			       "exec: \"%.200s\": permission denied", file);
	if (code == -EISDIR)
		return err_set(err, EISDIR, "exec: \"%.200s\": is a directory",
			       file);
	return err_ret(err, code, "exec: \"%.200s\"", file);
}

int lookup_executable(const char *file, const char *path, char *out,
		      size_t size, struct err *err)
{
	int denied = 0;

	if (!*file)
		return err_set(err, ENOENT,
			       "exec: \"\": executable file not found in "
			       "$PATH");
	if (strchr(file, '/')) {
		int ret = try_file(file);

		if (ret < 0)
			return fail(err, file, ret);
		if ((size_t)snprintf(out, size, "%s", file) >= size)
			return fail(err, file, -ENAMETOOLONG);
		return 0;
	}
	while (path && *path) {
		size_t len = strcspn(path, ":");
		int n = len ? snprintf(out, size, "%.*s/%s", (int)len, path,
				       file)
			    : snprintf(out, size, "./%s", file);
		int ret = n > 0 && (size_t)n < size ? try_file(out)
						    : -ENAMETOOLONG;

		if (ret == 0)
			return 0;
		if (ret == -EACCES)
			denied = ret;
		path += len + (path[len] == ':');
	}
	if (denied)
		return fail(err, file, denied);
	return err_set(err, ENOENT,
		       "exec: \"%.200s\": executable file not found in $PATH",
		       file);
}

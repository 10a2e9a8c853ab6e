/* SPDX-License-Identifier: Apache-2.0 */
/* The process itself, in its namespaces, up to exec. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/file.h"
#include "guest/agent/child.h"
#include "guest/agent/container_root.h"
#include "guest/agent/devices.h"
#include "guest/agent/hooks.h"
#include "guest/agent/limits.h"
#include "guest/agent/lookup.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/seccomp.h"
#include "guest/agent/user.h"
#include "guest/agent/user_names.h"

#define PASSWD_MAX (1u << 20)

/* What exec needs, prepared while errors can still be told. */
struct image {
	char file[PATH_MAX];
	char **args;
	char **env;
	size_t n_env;
	char home[PATH_MAX + 8];
	scmp_filter_ctx filter;
};

static int send_console(const struct child_config *config, int master,
			struct err *err)
{
	struct child_msg msg = {.type = CHILD_CONSOLE};
	ssize_t n = fd_send(config->sync, &msg, sizeof(msg), &master, 1, 0);

	return n < 0 ? err_ret(err, (int)n, "terminal: handing it over") : 0;
}

/* Takes the terminal, which is an open descriptor of the slave. */
static int use_terminal(const struct child_config *config, int slave,
			struct err *err)
{
	const Oci__User *user = config->process->user;

	if (fchown(slave, user ? user->uid : 0, (gid_t)-1) < 0 &&
	    errno != EPERM && errno != EINVAL)
		return err_sys(err, "terminal: chown");
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(slave, fd) < 0)
			return err_sys(err, "terminal: dup2");
	}
	if (ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(err, "terminal: TIOCSCTTY");
	return 0;
}

static int use_pipes(const struct child_config *config, struct err *err)
{
	const Oci__User *user = config->process->user;

	for (int fd = 0; fd < 3; fd++) {
		/* /dev/stdout is opened anew by its path; in a user namespace
		 * the pipe may have no owner that could change. */
		if (fchown(config->stdio[fd], user ? user->uid : 0, (gid_t)-1) <
			    0 &&
		    errno != EPERM && errno != EINVAL)
			return err_sys(err, "stdio: chown");
		if (dup2(config->stdio[fd], fd) < 0)
			return err_sys(err, "stdio: dup2");
	}
	return 0;
}

static int setup_terminal(const struct child_config *config, int *slave,
			  struct err *err)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int master = -1;

	if (root < 0)
		return err_sys(err, "open /");
	master = terminal_open(root, config->process->console_size, slave, err);
	return master < 0 ? master : send_console(config, master, err);
}

/* As root. A new container's is made when it is missing, as runc and crun do.
 */
static int enter_cwd(const char *cwd, bool make, struct err *err)
{
	if (cwd[0] != '/')
		return err_set(err, EINVAL, "cwd %.200s: not absolute", cwd);
	if (chdir(cwd) == 0 || errno == EACCES)
		return 0; /* the user may be the one who is let in */
	if (make && errno == ENOENT) {
		int ret = mkdir_all(cwd, 0755);

		if (ret < 0)
			return err_ret(err, ret, "cwd %.200s: mkdir", cwd);
		if (chdir(cwd) == 0)
			return 0;
	}
	return err_sys(err, "cwd %.200s", cwd);
}

/* As the user. CVE-2024-21626: the directory must lie inside the root. */
static int check_cwd(const char *cwd, struct err *err)
{
	char buf[PATH_MAX];
	long n;

	if (chdir(cwd) < 0)
		return err_sys(err, "cwd %.200s", cwd);
	n = getcwd(buf, sizeof(buf)) ? 0 : -errno;
	if (n < 0)
		return err_ret(err, (int)n, "cwd %.200s: getcwd", cwd);
	if (buf[0] != '/')
		return err_set(err, EPERM, "cwd %.200s: outside the root", cwd);
	return 0;
}

/* Of a name that is given again the last value is it, as with runc and crun;
 * getenv(3) would take the first. */
static void put_env(struct image *image, char *item)
{
	size_t len = strcspn(item, "=") + 1;
	size_t i = 0;

	while (image->env[i] && strncmp(image->env[i], item, len) != 0)
		i++;
	image->env[i] = item;
	if (i == image->n_env)
		image->n_env++;
}

/* The vectors of exec; HOME is added when there is none. */
static int make_vectors(const Oci__Process *p, struct image *image,
			struct err *err)
{
	AUTO_FREE char *passwd = NULL;
	char home[PATH_MAX];

	image->args = calloc(p->n_args + 1, sizeof(char *));
	image->env = calloc(p->n_env + 2, sizeof(char *));
	if (!image->args || !image->env)
		return err_set(err, ENOMEM, "process: out of memory");
	for (size_t i = 0; i < p->n_args; i++)
		image->args[i] = p->args[i];
	for (size_t i = 0; i < p->n_env; i++)
		put_env(image, p->env[i]);
	if (env_get(image->env, image->n_env, "HOME"))
		return 0;
	if (file_read(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &passwd, NULL) < 0)
		passwd = strdup("");
	user_home(passwd ? passwd : "", p->user ? p->user->uid : 0, home,
		  sizeof(home));
	(void)snprintf(image->home, sizeof(image->home), "HOME=%s", home);
	put_env(image, image->home);
	return 0;
}

static int load_filter(const struct image *image, struct err *err)
{
	int ret;

	if (!image->filter)
		return 0;
	ret = seccomp_load(image->filter);
	return ret < 0 ? err_ret(err, ret, "seccomp: load") : 0;
}

static int setup_privileges(const struct child_config *config,
			    struct image *image, struct err *err)
{
	const Oci__Process *p = config->process;
	struct cap_sets caps;
	int ret = cap_sets_parse(p->capabilities, &caps, err);

	if (!ret)
		ret = scheduler_apply(p->scheduler, err);
	if (!ret)
		ret = ioprio_apply(p->io_priority, err);
	if (!ret && config->seccomp)
		ret = seccomp_build(config->seccomp, &image->filter, err);
	if (ret < 0)
		return ret;
	/* Without no_new_privs only root may load a filter: before it drops
	 * its privileges. */
	if (p->no_new_privileges) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			return err_sys(err, "noNewPrivileges");
	} else {
		ret = load_filter(image, err);
		if (ret < 0)
			return ret;
	}
	return user_become(p->user, &caps, err);
}

/* Names are those of the container's own files. */
static int resolve_user(const struct child_config *config, struct err *err)
{
	AUTO_FREE char *passwd = NULL;
	AUTO_FREE char *group = NULL;

	if (!config->string_user)
		return 0;
	(void)!file_read(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &passwd, NULL);
	(void)!file_read(AT_FDCWD, "/etc/group", PASSWD_MAX, &group, NULL);
	return user_names_resolve(config->string_user, passwd ? passwd : "",
				  group ? group : "", config->process->user,
				  err);
}

static int setup_process(const struct child_config *config, int slave,
			 struct image *image, struct err *err)
{
	const Oci__Process *p = config->process;
	int ret = resolve_user(config, err);

	if (!ret)
		ret = p->terminal ? use_terminal(config, slave, err)
				  : use_pipes(config, err);
	if (!ret)
		ret = make_vectors(p, image, err);
	if (!ret)
		ret = enter_cwd(p->cwd, config->spec != NULL, err);
	if (!ret)
		ret = setup_privileges(config, image, err);
	if (!ret)
		ret = check_cwd(p->cwd, err);
	if (!ret)
		ret = lookup_executable(
			p->args[0], env_get(image->env, image->n_env, "PATH"),
			image->file, sizeof(image->file), err);
	return ret;
}

static int become_root(const struct child_config *config, struct err *err)
{
	int ret;

	if (config->clone_flags & CLONE_NEWUSER) {
		ret = user_become_root(err);
		if (ret < 0)
			return ret;
	}
	return config->spec ? namespaces_enter(config->clone_flags, err) : 0;
}

static int setup(const struct child_config *config, struct image *image,
		 struct hook_state *state, struct err *err)
{
	AUTO_FD int slave = -1;
	int ret = child_await(config, CHILD_GO);

	if (ret < 0)
		return err_ret(err, ret, "agent");
	umask(0);
	if (setsid() < 0)
		return err_sys(err, "setsid");
	/* Keys of the agent's session, and of other containers, stay away. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 &&
	    errno != ENOSYS)
		return err_sys(err, "session keyring");
	ret = become_root(config, err);
	if (ret < 0)
		return ret;
	if (config->spec) {
		AUTO_FD int master =
			container_root_setup(config, state, &slave, err);

		if (master < 0 && master != -ENOTTY)
			return master;
		if (master >= 0) {
			ret = send_console(config, master, err);
			if (ret < 0)
				return ret;
		}
	} else if (config->process->terminal) {
		ret = setup_terminal(config, &slave, err);
		if (ret < 0)
			return ret;
	}
	umask(0022);
	return setup_process(config, slave, image, err);
}

static int start_hooks(const struct child_config *config,
		       struct hook_state *state, struct err *err)
{
	const Oci__Hooks *hooks = config->spec ? config->spec->hooks : NULL;

	if (!hooks || hooks->n_start_container == 0)
		return 0;
	state->status = "created";
	return hooks_run("startContainer", hooks->start_container,
			 hooks->n_start_container, "/", state, err);
}

void child_run(const struct child_config *config)
{
	static struct image image;
	struct hook_state state = {
		.id = config->id,
		.bundle = config->bundle,
	};
	struct err err = {0};
	int ret;

	if (config->spec) {
		state.annotations = config->spec->annotations;
		state.n_annotations = config->spec->n_annotations;
	}
	ret = setup(config, &image, &state, &err);

	if (!ret && child_send(config, CHILD_READY, 0, "") < 0)
		_exit(127);
	if (!ret && child_await(config, CHILD_START) < 0)
		_exit(127);
	if (!ret)
		ret = start_hooks(config, &state, &err);
	if (!ret)
		ret = personality_apply(config->personality, &err);
	if (!ret && config->process->no_new_privileges)
		ret = load_filter(&image, &err);
	if (!ret) {
		execve(image.file, image.args, image.env);
		err_sys(&err, "exec: \"%.200s\"", config->process->args[0]);
	}
	child_fail(config, &err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_STATE_H
#define RUNTIME_STATE_H

/*
 * What is on disk, so that the command line finds a sandbox, and so that
 * `delete` can clean up after a process that was killed:
 *
 *	<root>/<id>/state.json    of each container, written by rename
 *	<root>/<id>/early.json    the same, while it is being created
 *	<root>/<id>/task.sock     of each sandbox: the supervisor's Task API
 *	<root>/<id>/vsock.sock    of each sandbox: hybrid vsock
 *
 * A container that lives in another's sandbox has a directory with a
 * state.json alone. Each directory is made with O_EXCL semantics (mkdir):
 * whoever made it owns the id.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

struct state {
	char *id;
	char *sandbox; /* id of the sandbox it lives in; often id itself */
	char *bundle;  /* absolute */
	char *rootfs;  /* absolute, on the host */
	char *created; /* RFC 3339 */
	pid_t pid;     /* proxy that stands for the init process; 0: none */
	uint64_t pid_start; /* its start time, /proc/PID/stat field 22 */
	pid_t supervisor;
	uint64_t supervisor_start;
	uid_t owner;
	/* Host resources to remove after a crash; NULL: none. */
	char *cgroup;	    /* absolute path of the cgroup we made */
	char *netns;	    /* namespace whose interfaces are redirected */
	bool netns_created; /* by us: to be removed */
	size_t nannotations;
	char **annotations; /* key, value, key, value, ... */
};

/* --root or the default: /run/nacre, $XDG_RUNTIME_DIR/nacre when not root. */
const char *state_default_root(void);

/* Makes <root> and <root>/<id>. EEXIST: "container with id ... exists". */
int state_claim(const char *root, const char *id, struct err *err) MUST_CHECK;
int state_save(const char *root, const struct state *state,
	       struct err *err) MUST_CHECK;
/* NULL: err; ENOENT: container "x" does not exist. */
struct state *state_load(const char *root, const char *id, struct err *err);
/* The same of a container that is on its way: no command but a sweep sees it.
 * It is what names the host's resources until state.json does. */
int state_save_early(const char *root, const struct state *state,
		     struct err *err) MUST_CHECK;
struct state *state_load_early(const char *root, const char *id,
			       struct err *err);
void state_free(struct state *state);
/* Removes <root>/<id> and what is in it. */
int state_remove(const char *root, const char *id) MUST_CHECK;
/* Ids in <root>, sorted; NULL-terminated; free each and the vector. */
char **state_list(const char *root, struct err *err);

/* 0 when the process is gone; its start time otherwise. */
uint64_t process_start_time(pid_t pid);
/* Whether that very process still runs (pid and start time match). */
bool process_alive(pid_t pid, uint64_t start);

#endif

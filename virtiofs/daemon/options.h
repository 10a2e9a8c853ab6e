/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_DAEMON_OPTIONS_H
#define VIRTIOFS_DAEMON_OPTIONS_H

/*
 * The command line of nacre-virtiofsd, in the spelling of the virtiofsd that
 * is written in Rust. What is not in the tables of options.c is refused by
 * name.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "virtiofs/idmap.h"
#include "virtiofs/virtiofs.h"
#include "virtiofs/xattrmap.h"

enum daemon_sandbox {
	DAEMON_SANDBOX_NAMESPACE,
	DAEMON_SANDBOX_CHROOT,
	DAEMON_SANDBOX_NONE,
};

enum daemon_seccomp {
	DAEMON_SECCOMP_KILL,
	DAEMON_SECCOMP_NONE,
	DAEMON_SECCOMP_LOG,
	DAEMON_SECCOMP_TRAP,
};

/* Of /proc/PID/uid_map, or gid_map. */
#define DAEMON_ID_LINES 16u

struct daemon_id_line {
	uint32_t inside;
	uint32_t outside;
	uint32_t count;
};

struct daemon_id_map {
	unsigned n; /* 0: none was given */
	struct daemon_id_line lines[DAEMON_ID_LINES];
};

/* Strings point into argv. */
struct daemon_options {
	const char *socket_path; /* NULL: listen_fd is given */
	int listen_fd;		 /* -1: socket_path is given */
	const char *socket_group;
	const char *shared_dir;
	bool tag_given;		   /* so it is offered to the front-end */
	struct virtiofs_config fs; /* without descriptors */
	struct fs_idmap uids;	   /* what fs.uids points to, when used */
	struct fs_idmap gids;
	struct fs_xattrmap xattrmap; /* what fs.xattrmap points to, when used */
	enum daemon_sandbox sandbox;
	enum daemon_seccomp seccomp;
	struct daemon_id_map uid_map;
	struct daemon_id_map gid_map;
	uint64_t add_caps;
	uint64_t drop_caps;
	bool nofile_given;
	uint64_t nofile; /* 0: the limit stays (fs.keep_nofile) */
	enum log_level log_level;
	bool log_off;
	bool syslog;
	bool once; /* one front-end, not one after the other */
	bool print_capabilities;
	bool version;
	bool help;
};

int daemon_options_parse(struct daemon_options *options, int argc, char **argv,
			 struct err *err) MUST_CHECK;
extern const char daemon_options_usage[];

#endif

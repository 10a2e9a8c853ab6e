/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/options.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/privilege.h"
#include "virtiofs/needs.h"

const char daemon_options_usage[] =
	"usage: nacre-virtiofsd --shared-dir DIR --socket-path PATH|--fd FD "
	"[OPTION]...\n"
	"\n"
	"Shares a directory with a virtual machine: virtio-fs over "
	"vhost-user.\n"
	"\n"
	"options:\n"
	"  --shared-dir DIR          the directory\n"
	"  --socket-path PATH        listen on this Unix socket\n"
	"  --socket-group GROUP      who may connect to it, beside its owner\n"
	"  --fd FD                   listen on this descriptor\n"
	"  --tag TAG                 offer the front-end this tag\n"
	"  --once                    end when the front-end disconnects\n"
	"  --cache POLICY            never, auto, always or metadata; default "
	"auto\n"
	"  --writeback               writes wait in the guest's cache\n"
	"  --readonly                the guest changes nothing\n"
	"  --allow-direct-io         O_DIRECT of the guest holds for the host\n"
	"  --allow-mmap              shared mappings without cache\n"
	"  --preserve-noatime        O_NOATIME of the guest holds for the "
	"host\n"
	"  --announce-submounts      mounts of the host are mounts in the "
	"guest\n"
	"  --no-announce-submounts\n"
	"  --xattr                   extended attributes\n"
	"  --xattrmap RULES          attributes by other names on the host\n"
	"  --posix-acl               access control lists, and --xattr\n"
	"  --killpriv-v2             set-id bits are cleared by the host\n"
	"  --no-killpriv-v2\n"
	"  --no-readdirplus          directories are read without attributes\n"
	"  --inode-file-handles WHEN never, prefer or mandatory; default "
	"never\n"
	"  --translate-uid RULE      owners by other numbers in the guest\n"
	"  --translate-gid RULE\n"
	"  --thread-pool-size N      threads, at most 16; default 0\n"
	"  --rlimit-nofile N         descriptors; 0 leaves the limit alone\n"
	"  --sandbox KIND            namespace, chroot or none; default "
	"namespace\n"
	"  --uid-map MAP             :INSIDE:OUTSIDE:COUNT:\n"
	"  --gid-map MAP\n"
	"  --seccomp ACTION          none, kill, log or trap; default kill\n"
	"  --modcaps CAPLIST         capabilities kept, as in "
	"+sys_admin:-setfcap\n"
	"  --log-level LEVEL         error, warn, info, debug or off; default "
	"info\n"
	"  --syslog                  log to the system's log\n"
	"  --print-capabilities      for management programs, as JSON\n"
	"  -V, --version\n"
	"  -h, --help\n";

/* The index of value in names, which ends with NULL; -1: it is not there. */
static int take_word(const char *value, const char *const *names)
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], value) == 0)
			return i;
	}
	return -1;
}

/* Each is called with the option's value; -EINVAL: it is none. */

static int set_shared_dir(struct daemon_options *o, const char *value)
{
	o->shared_dir = value;
	return *value ? 0 : -EINVAL;
}

static int set_socket_path(struct daemon_options *o, const char *value)
{
	o->socket_path = value;
	return *value ? 0 : -EINVAL;
}

static int set_socket_group(struct daemon_options *o, const char *value)
{
	o->socket_group = value;
	return *value ? 0 : -EINVAL;
}

static int set_fd(struct daemon_options *o, const char *value)
{
	uint64_t fd;

	if (number_parse(value, INT32_MAX, &fd) < 0 || fd < 3)
		return -EINVAL;
	o->listen_fd = (int)fd;
	return 0;
}

static int set_tag(struct daemon_options *o, const char *value)
{
	o->fs.tag = value;
	o->tag_given = true;
	return *value && strlen(value) <= VIRTIOFS_TAG_MAX ? 0 : -EINVAL;
}

static int set_cache(struct daemon_options *o, const char *value)
{
	static const char *const names[] = {
		[VIRTIOFS_CACHE_NEVER] = "never",
		[VIRTIOFS_CACHE_AUTO] = "auto",
		[VIRTIOFS_CACHE_METADATA] = "metadata",
		[VIRTIOFS_CACHE_ALWAYS] = "always",
		NULL,
	};
	int i = take_word(value, names);

	if (i < 0)
		return -EINVAL;
	o->fs.cache = (enum virtiofs_cache)i;
	return 0;
}

static int set_threads(struct daemon_options *o, const char *value)
{
	uint64_t n;

	if (number_parse(value, VIRTIOFS_WORKERS_MAX, &n) < 0)
		return -EINVAL;
	o->fs.workers = (unsigned)n;
	return 0;
}

static int set_nofile(struct daemon_options *o, const char *value)
{
	o->nofile_given = true;
	if (number_parse(value, INT32_MAX, &o->nofile) < 0)
		return -EINVAL;
	o->fs.keep_nofile = o->nofile == 0;
	return 0;
}

static int set_sandbox(struct daemon_options *o, const char *value)
{
	static const char *const names[] = {
		[DAEMON_SANDBOX_NAMESPACE] = "namespace",
		[DAEMON_SANDBOX_CHROOT] = "chroot",
		[DAEMON_SANDBOX_NONE] = "none",
		NULL,
	};
	int i = take_word(value, names);

	if (i < 0)
		return -EINVAL;
	o->sandbox = (enum daemon_sandbox)i;
	return 0;
}

static int set_seccomp(struct daemon_options *o, const char *value)
{
	static const char *const names[] = {
		[DAEMON_SECCOMP_KILL] = "kill",
		[DAEMON_SECCOMP_NONE] = "none",
		[DAEMON_SECCOMP_LOG] = "log",
		[DAEMON_SECCOMP_TRAP] = "trap",
		NULL,
	};
	int i = take_word(value, names);

	if (i < 0)
		return -EINVAL;
	o->seccomp = (enum daemon_seccomp)i;
	return 0;
}

static int set_log_level(struct daemon_options *o, const char *value)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error",
		[LOG_WARN] = "warn",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
		NULL,
	};
	/* It has a level more, where this one has said everything. */
	int i = take_word(strcmp(value, "trace") ? value : "debug", names);

	o->log_off = strcmp(value, "off") == 0;
	if (i < 0)
		return o->log_off ? 0 : -EINVAL;
	o->log_level = (enum log_level)i;
	return 0;
}

static int set_file_handles(struct daemon_options *o, const char *value)
{
	static const char *const names[] = {
		[VIRTIOFS_HANDLES_NEVER] = "never",
		[VIRTIOFS_HANDLES_PREFER] = "prefer",
		[VIRTIOFS_HANDLES_MANDATORY] = "mandatory",
		NULL,
	};
	/* The older word for one of them. */
	int i = take_word(strcmp(value, "fallback") ? value : "prefer", names);

	if (i < 0)
		return -EINVAL;
	o->fs.file_handles = (enum virtiofs_file_handles)i;
	return 0;
}

/* ":INSIDE:OUTSIDE:COUNT:"; what stands first is what separates. */
static int take_map(const char *value, struct daemon_id_map *map)
{
	const char separator = *value;
	uint32_t v[3];
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		unsigned long long n;

		if (!separator || *value++ != separator || *value < '0' ||
		    *value > '9')
			return -EINVAL;
		n = strtoull(value, &end, 10);
		if (n >= UINT32_MAX)
			return -EINVAL;
		v[i] = (uint32_t)n;
		value = end;
	}
	if (*value++ != separator || *value || v[2] == 0)
		return -EINVAL;
	if (map->n == DAEMON_ID_LINES)
		return -E2BIG;
	map->lines[map->n++] = (struct daemon_id_line){v[0], v[1], v[2]};
	return 0;
}

static int set_uid_map(struct daemon_options *o, const char *value)
{
	return take_map(value, &o->uid_map);
}

static int set_gid_map(struct daemon_options *o, const char *value)
{
	return take_map(value, &o->gid_map);
}

static int set_translate_uid(struct daemon_options *o, const char *value)
{
	o->fs.uids = &o->uids;
	return fs_idmap_add(&o->uids, value);
}

static int set_translate_gid(struct daemon_options *o, const char *value)
{
	o->fs.gids = &o->gids;
	return fs_idmap_add(&o->gids, value);
}

static int set_xattrmap(struct daemon_options *o, const char *value)
{
	o->fs.xattrmap = &o->xattrmap;
	return fs_xattrmap_parse(&o->xattrmap, value);
}

/* One of "+sys_admin:-setfcap". */
static int take_cap(struct daemon_options *o, const char *name, size_t len)
{
	char copy[32];
	int cap;

	if (len < 2 || len > sizeof(copy) || (*name != '+' && *name != '-'))
		return -EINVAL;
	memcpy(copy, name + 1, len - 1);
	copy[len - 1] = '\0';
	cap = capng_name_to_capability(copy);
	if (cap < 0 || cap > 63)
		return -EINVAL;
	if (*name == '+')
		o->add_caps |= CAP_MASK(cap);
	else
		o->drop_caps |= CAP_MASK(cap);
	return 0;
}

static int set_modcaps(struct daemon_options *o, const char *value)
{
	size_t len;

	for (;; value += len + 1) {
		len = strcspn(value, ":");
		if (take_cap(o, value, len) < 0)
			return -EINVAL;
		if (!value[len])
			return 0;
	}
}

/* The tables. ----------------------------------------------------------- */

#define FLAG(field, v) offsetof(struct daemon_options, field), v

static const struct {
	const char *name;
	size_t offset; /* of a bool */
	bool value;
} flags[] = {
	{"--once", FLAG(once, true)},
	{"--writeback", FLAG(fs.writeback, true)},
	{"--readonly", FLAG(fs.readonly, true)},
	{"--allow-direct-io", FLAG(fs.direct_io, true)},
	{"--allow-mmap", FLAG(fs.no_mmap, false)},
	{"--preserve-noatime", FLAG(fs.no_noatime, false)},
	{"--announce-submounts", FLAG(fs.announce_submounts, true)},
	{"--no-announce-submounts", FLAG(fs.announce_submounts, false)},
	{"--xattr", FLAG(fs.xattr, true)},
	{"--posix-acl", FLAG(fs.posix_acl, true)},
	{"--killpriv-v2", FLAG(fs.no_killpriv, false)},
	{"--no-killpriv-v2", FLAG(fs.no_killpriv, true)},
	{"--no-readdirplus", FLAG(fs.no_readdirplus, true)},
	{"--syslog", FLAG(syslog, true)},
	{"--print-capabilities", FLAG(print_capabilities, true)},
	{"--version", FLAG(version, true)},
	{"-V", FLAG(version, true)},
	{"--help", FLAG(help, true)},
	{"-h", FLAG(help, true)},
};

static const struct {
	const char *name;
	int (*set)(struct daemon_options *o, const char *value);
	const char *wants;
} values[] = {
	{"--shared-dir", set_shared_dir, "a directory"},
	{"--socket-path", set_socket_path, "a path"},
	{"--socket", set_socket_path, "a path"}, /* its older name */
	{"--socket-group", set_socket_group, "a group"},
	{"--fd", set_fd, "a descriptor, 3 or more"},
	{"--tag", set_tag, "1 to 36 bytes"},
	{"--cache", set_cache, "never, auto, always or metadata"},
	{"--thread-pool-size", set_threads, "0 to 16"},
	{"--rlimit-nofile", set_nofile, "a number"},
	{"--sandbox", set_sandbox, "namespace, chroot or none"},
	{"--seccomp", set_seccomp, "none, kill, log or trap"},
	{"--log-level", set_log_level,
	 "error, warn, info, debug, trace or off"},
	{"--inode-file-handles", set_file_handles,
	 "never, prefer or mandatory"},
	{"--uid-map", set_uid_map, ":INSIDE:OUTSIDE:COUNT:"},
	{"--gid-map", set_gid_map, ":INSIDE:OUTSIDE:COUNT:"},
	{"--translate-uid", set_translate_uid, "KIND:FROM:TO:COUNT"},
	{"--translate-gid", set_translate_gid, "KIND:FROM:TO:COUNT"},
	{"--xattrmap", set_xattrmap, "rules :ACTION:SCOPE:KEY:PREPEND:"},
	{"--modcaps", set_modcaps, "+CAPABILITY:-CAPABILITY..."},
};

/* Of the other virtiofsd, and not here. */
static const struct {
	const char *name;
	const char *text;
} absent[] = {
	{"--security-label", "security labels are not there"},
	{"--migration-mode", "migration is not there"},
	{"--migration-on-error", "migration is not there"},
	{"--migration-verify-handles", "migration is not there"},
	{"--migration-confirm-paths", "migration is not there"},
	{"-o", "each option stands for itself here: --cache, --xattr, ..."},
	{"-f", "it is always in the foreground"},
	{"-d", "--log-level debug says more"},
};

static bool is_name(const char *arg, size_t len, const char *name)
{
	return strlen(name) == len && strncmp(arg, name, len) == 0;
}

static int take_value(struct daemon_options *o, size_t i, const char *value,
		      struct err *err)
{
	int ret = value ? values[i].set(o, value) : -EINVAL;

	if (!value)
		return err_set(err, EINVAL, "%s: needs a value",
			       values[i].name);
	if (ret == -EEXIST)
		return err_set(err, EINVAL, "%s %s: overlaps with another",
			       values[i].name, value);
	if (ret == -E2BIG)
		return err_set(err, EINVAL, "%s: too many", values[i].name);
	if (ret < 0)
		return err_set(err, EINVAL, "%s %s: wants %s", values[i].name,
			       value, values[i].wants);
	return 0;
}

/* How many arguments it used, or -errno. */
static int take_option(struct daemon_options *o, char **argv, struct err *err)
{
	const char *arg = argv[0];
	const char *equal = strchr(arg, '=');
	size_t len = equal ? (size_t)(equal - arg) : strlen(arg);
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (!is_name(arg, len, values[i].name))
			continue;
		ret = take_value(o, i, equal ? equal + 1 : argv[1], err);
		return ret < 0 ? ret : equal ? 1 : 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!is_name(arg, len, flags[i].name))
			continue;
		if (equal)
			return err_set(err, EINVAL, "%s: takes no value",
				       flags[i].name);
		*(bool *)((char *)o + flags[i].offset) = flags[i].value;
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		if (is_name(arg, len, absent[i].name))
			return err_set(err, EINVAL, "%s: %s", absent[i].name,
				       absent[i].text);
	}
	return err_set(err, EINVAL, "unknown option \"%s\"", arg);
}

/* What does not go together, and what is missing. */
static int check(const struct daemon_options *o, struct err *err)
{
	bool maps = o->uid_map.n || o->gid_map.n;

	if (!o->shared_dir)
		return err_set(err, EINVAL, "--shared-dir: is needed");
	if (!o->socket_path && o->listen_fd < 0)
		return err_set(err, EINVAL,
			       "--socket-path or --fd: one is needed");
	if (o->socket_path && o->listen_fd >= 0)
		return err_set(err, EINVAL,
			       "--socket-path and --fd: only one of them");
	if (o->socket_group && !o->socket_path)
		return err_set(err, EINVAL,
			       "--socket-group: needs --socket-path");
	if (o->fs.xattrmap && !o->fs.xattr)
		return err_set(err, EINVAL, "--xattrmap: needs --xattr");
	if (o->fs.writeback && (o->fs.cache == VIRTIOFS_CACHE_NEVER ||
				o->fs.cache == VIRTIOFS_CACHE_METADATA))
		return err_set(err, EINVAL,
			       "--writeback: does not go with --cache never or "
			       "metadata, which cache no data");
	if (maps && o->sandbox != DAEMON_SANDBOX_NAMESPACE)
		return err_set(err, EINVAL,
			       "--uid-map and --gid-map: need --sandbox "
			       "namespace");
	if (o->add_caps & o->drop_caps)
		return err_set(err, EINVAL,
			       "--modcaps: one capability both ways");
	if (o->fs.file_handles != VIRTIOFS_HANDLES_NEVER &&
	    (o->drop_caps & VIRTIOFS_HANDLE_CAPS))
		return err_set(err, EINVAL,
			       "--modcaps: without dac_read_search no file "
			       "handle is opened (--inode-file-handles)");
	return 0;
}

int daemon_options_parse(struct daemon_options *options, int argc, char **argv,
			 struct err *err)
{
	int i = 1;

	*options = (struct daemon_options){
		.listen_fd = -1,
		.log_level = LOG_INFO,
		.fs =
			{
				.root_fd = -1,
				.proc_fd = -1,
				.tag = "virtiofs",
				.cache = VIRTIOFS_CACHE_AUTO,
				.request_queues = VIRTIOFS_QUEUES_MAX,
				.announce_submounts = true,
				.no_killpriv = true,
				.no_noatime = true,
				.no_mmap = true,
			},
	};
	while (i < argc) {
		int used = take_option(options, argv + i, err);

		if (used < 0)
			return used;
		i += used;
	}
	options->fs.xattr |= options->fs.posix_acl;
	/* The configuration space tells how many there are, and a front-end
	 * that shows it as it is has been told of one. */
	if (options->tag_given)
		options->fs.request_queues = 1;
	if (options->help || options->version || options->print_capabilities)
		return 0;
	return check(options, err);
}

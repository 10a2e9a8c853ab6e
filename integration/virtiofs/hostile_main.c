/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: hostile [OPTION]... SHARE OUTSIDE
 *
 *	-S SOCKET -p PID	a server over vhost-user, and its process
 *				(without: one in this process, without rings)
 *	-d			a device in this process, with threads and vCPUs
 *	-r -H -D -L		it is read-only; has file handles in place of
 *				descriptors; a DAX window (not with -S);
 *				a limit for the size of files of 128 MiB
 *	-t SECONDS -x SEED	of the random groups
 *	-n NAME -g GROUP	what the lines say; one group alone
 *
 * A guest that wants out. OUTSIDE is a directory beside SHARE; both are empty,
 * but for mounts: SHARE/mnt, of OUTSIDE/mounted, and SHARE/proc. A line for
 *each group, "ok" or "not ok"; ends with 0 if all are.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_tree.h"

#define SIZE_LIMIT (128ull << 20)
#define DAX_SIZE (8ull << 20)

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{"session", group_session}, {"names", group_names},
	{"nodes", group_nodes},	    {"handles", group_handles},
	{"lengths", group_lengths}, {"layout", group_layout},
	{"rings", group_rings},	    {"kinds", group_kinds},
	{"links", group_links},	    {"mounts", group_mounts},
	{"magic", group_magic},	    {"readonly", group_readonly},
	{"limits", group_limits},   {"forget", group_forget},
	{"caps", group_caps},	    {"dax", group_dax},
	{"queues", group_queues},   {"race", group_race},
	{"noise", group_noise},
};

static const char *socket_path;
static const char *title = "hostile";
static const char *only;
static const char *pid = "self";
static unsigned fds;
static bool plug;

static unsigned descriptors(void)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		link_die("the server is gone");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A guest with manners is served. */
static void alive(void)
{
	uint64_t node = hostile_lookup(FUSE_ROOT_ID, "alive");
	uint64_t fh;

	hostile_check(node, "LOOKUP of what is there");
	hostile_want("OPEN", hostile_open(node, O_RDONLY, &fh), 0);
	hostile_want("READ", hostile_read(node, fh, 0, 64), 0);
	hostile_check(
		hostile.reply_len == strlen(TREE_ALIVE) &&
			!memcmp(hostile_reply(), TREE_ALIVE, hostile.reply_len),
		"READ: %u bytes", hostile.reply_len);
	hostile_want("RELEASE", hostile_release(node, fh), 0);
	hostile_forget(node, 1);
}

static void settle(const char *name)
{
	unsigned n;

	hostile_destroy();
	n = descriptors();
	hostile_check(!fds || n == fds, "%u descriptors, were %u", n, fds);
	fds = n;
	tree_check();
	if (!hostile.readonly)
		tree_repair();
	else if (strcmp(name, "race") != 0)
		tree_share_check();
	if (!strcmp(name, "race"))
		tree_repair();
	if (hostile.readonly)
		tree_share_note();
	hostile_want("INIT", hostile_init(), 0);
	alive();
}

static unsigned run_all(void)
{
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		unsigned long before = hostile.requests;
		unsigned long races = tree_races();
		uint64_t start = monotonic_ns();

		if (only && strcmp(only, groups[i].name) != 0)
			continue;
		hostile.wrong = 0;
		groups[i].run();
		settle(groups[i].name);
		bad += hostile.wrong != 0;
		printf("%s %s: %s, %lu requests in %llu ms",
		       hostile.wrong ? "not ok" : "ok", title, groups[i].name,
		       hostile.requests - before,
		       (unsigned long long)(monotonic_ns() - start) / 1000000);
		if (tree_races() > races)
			printf(", the host swapped %lu times",
			       tree_races() - races);
		printf("\n");
		fflush(stdout);
	}
	return bad;
}

static void serve_here(void)
{
	const struct rlimit limit = {SIZE_LIMIT, SIZE_LIMIT};
	struct virtiofs_config config = {
		.proc_fd = -1,
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
		.posix_acl = true,
		.readonly = hostile.readonly,
		.replay = true,
		.file_handles = hostile.no_fds ? VIRTIOFS_HANDLES_PREFER
					       : VIRTIOFS_HANDLES_NEVER,
		.dax_size = hostile.dax ? DAX_SIZE : 0,
		.max_inodes = hostile.no_fds ? 0 : 1000,
		.max_handles = 300,
	};

	if (plug) {
		config.tag = "hostile";
		config.workers = 2;
		config.request_queues = LINK_REQUEST_QUEUES;
		config.vcpus = true;
	}
	config.root_fd = open(hostile.share, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (hostile.size_limit && setrlimit(RLIMIT_FSIZE, &limit))
		link_die("RLIMIT_FSIZE");
	log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_TEXT, LOG_INFO,
		 "fs");
	if (plug)
		link_plug(&config);
	else
		link_serve(&config);
}

static void options(int argc, char **argv)
{
	int opt;

	hostile.seconds = 1;
	hostile.seed = monotonic_ns();
	while ((opt = getopt(argc, argv, "S:p:drHDLt:x:n:g:")) >= 0) {
		if (opt == 'S')
			socket_path = optarg;
		else if (opt == 'p')
			pid = optarg;
		else if (opt == 'd')
			plug = true;
		else if (opt == 'r')
			hostile.readonly = true;
		else if (opt == 'H')
			hostile.no_fds = true;
		else if (opt == 'D')
			hostile.dax = true;
		else if (opt == 'L')
			hostile.size_limit = true;
		else if (opt == 't')
			hostile.seconds = (unsigned)atoi(optarg);
		else if (opt == 'x')
			hostile.seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			title = optarg;
		else if (opt == 'g')
			only = optarg;
		else
			exit(2);
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: hostile [-S SOCKET -p PID] [-drHDL] "
				"[-t SECONDS] [-x SEED] [-n NAME] [-g GROUP] "
				"SHARE OUTSIDE\n");
		exit(2);
	}
	hostile.share = argv[optind];
	hostile.outside = argv[optind + 1];
}

int main(int argc, char **argv)
{
	unsigned bad;

	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	tree_make();
	if (socket_path)
		link_connect(socket_path);
	else
		serve_here();
	hostile_want("INIT", hostile_init(), 0);
	if (hostile.readonly)
		tree_share_note();
	settle("begin");
	bad = run_all();
	if (bad || hostile.wrong)
		printf("# again with: -x %llu\n",
		       (unsigned long long)hostile.seed);
	return bad || hostile.wrong;
}

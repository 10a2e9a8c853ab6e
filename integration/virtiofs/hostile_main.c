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
 * each group, "ok" or "not ok"; ends with 0 if all are. hostile_guest.c is the
 * same from inside a real guest.
 */

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
#include "integration/virtiofs/hostile_all.h"
#include "integration/virtiofs/hostile_tree.h"
#include "integration/virtiofs/hostile_watch.h"

#define SIZE_LIMIT (128ull << 20)
#define DAX_SIZE (8ull << 20)

static const char *socket_path;
static const char *title = "hostile";
static const char *only;
static const char *pid = "self";
static bool plug;

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
	hostile.rounds = 300;
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
	watch_process(pid);
	if (socket_path)
		link_connect(socket_path);
	else
		serve_here();
	bad = hostile_all(title, only);
	if (bad)
		printf("# again with: -x %llu\n",
		       (unsigned long long)hostile.seed);
	return bad != 0;
}

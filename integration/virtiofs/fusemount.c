/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The FUSE server on /dev/fuse instead of a virtqueue: the kernel of this
 * machine is the guest. For tests without a virtual machine; needs root.
 *
 *	fusemount [-t THREADS] [-c never|auto|metadata|always] [-w] [-a] [-r]
 *		  [-H] SOURCE MOUNTPOINT
 *
 * -w: writeback cache; -a: POSIX ACLs; -r: read-only; -H: inodes are file
 * handles. Says "ready" when it is
 * mounted and ends with 0 when it is unmounted.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/log.h"
#include "virtiofs/server.h"

#define BUF ((1u << 20) + 8192)
#define THREADS_MAX 8u

struct worker {
	struct virtiofs *fs;
	int fuse;
	bool own;
	pthread_t thread;
};

static void die(const char *what)
{
	fprintf(stderr, "fusemount: %s: %s\n", what, strerror(errno));
	exit(1);
}

static ssize_t request_read(int fuse, uint8_t *in)
{
	ssize_t n;

	do
		n = read(fuse, in, BUF);
	while (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT));
	if (n < 0 && errno != ENODEV)
		die("read /dev/fuse");
	return n;
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct fs_thread *thread = fs_thread_new(worker->fs, worker->own);
	struct virtq_chain *chain = calloc(1, sizeof(*chain));
	uint8_t *out = malloc(BUF);
	uint8_t *in = malloc(BUF);
	uint32_t written;
	ssize_t n;

	if (!thread || !chain || !in || !out)
		die("worker");
	while ((n = request_read(worker->fuse, in)) > 0) {
		chain->nread = chain->nwrite = 1;
		chain->read_len = (size_t)n;
		chain->write_len = BUF;
		chain->iov[0] = (struct iovec){in, (size_t)n};
		chain->iov[1] = (struct iovec){out, BUF};
		if (virtiofs_handle(thread, chain, &written))
			die("request");
		/* ENOENT: the caller was interrupted and is gone. */
		if (written && write(worker->fuse, out, written) < 0 &&
		    errno != ENOENT && errno != ENODEV)
			die("write /dev/fuse");
	}
	fs_thread_free(thread);
	free(chain);
	free(in);
	free(out);
	return NULL;
}

static enum virtiofs_cache cache_of(const char *name)
{
	static const char *const names[] = {"never", "auto", "metadata",
					    "always"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum virtiofs_cache)i;
	}
	fprintf(stderr, "fusemount: no cache policy %s\n", name);
	exit(2);
}

static int fuse_mount(const char *dir)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[128];

	if (fuse < 0)
		die("/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,"
		 "default_permissions,allow_other",
		 fuse);
	if (mount("nacre", dir, "fuse.nacre", MS_NODEV, options))
		die(dir);
	return fuse;
}

static void serve(struct virtiofs *fs, int fuse, unsigned threads)
{
	struct worker workers[THREADS_MAX];

	for (unsigned i = 0; i < threads; i++) {
		workers[i] =
			(struct worker){.fs = fs, .fuse = fuse, .own = i > 0};
		if (i > 0 && pthread_create(&workers[i].thread, NULL,
					    worker_run, &workers[i]))
			die("pthread_create");
	}
	printf("ready\n");
	fflush(stdout);
	worker_run(&workers[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
}

int main(int argc, char **argv)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
	};
	unsigned threads = 1;
	struct virtiofs *fs;
	struct err err;
	int opt;

	while ((opt = getopt(argc, argv, "t:c:warHk")) >= 0) {
		if (opt == 't')
			threads = (unsigned)atoi(optarg);
		else if (opt == 'c')
			config.cache = cache_of(optarg);
		else if (opt == 'w')
			config.writeback = true;
		else if (opt == 'a')
			config.posix_acl = true;
		else if (opt == 'r')
			config.readonly = true;
		else if (opt == 'H')
			config.file_handles = VIRTIOFS_HANDLES_MANDATORY;
		else if (opt == 'k')
			config.no_killpriv = true;
		else
			return 2;
	}
	if (argc - optind != 2 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: fusemount [-t THREADS] [-c CACHE] "
				"[-w] [-a] [-r] [-H] [-k] SOURCE MOUNTPOINT\n");
		return 2;
	}
	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, "fusemount");
	config.root_fd = open(argv[optind], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config.root_fd < 0)
		die(argv[optind]);
	fs = virtiofs_new(&config, &err);
	if (!fs) {
		fprintf(stderr, "fusemount: %s\n", err.text);
		return 1;
	}
	serve(fs, fuse_mount(argv[optind + 1]), threads);
	virtiofs_free(fs);
	return 0;
}

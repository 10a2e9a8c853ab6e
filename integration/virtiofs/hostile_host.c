/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: hostile-host SOCKET SECONDS PROCESS SHARE OUTSIDE
 *
 * The host of hostile-guest (hostile_guest.c): makes SHARE and OUTSIDE, as
 * hostile_main.c has them, says "ready", calls the guest by the vsock device's
 * SOCKET for as long as SECONDS, and does what it asks for, to the share, and
 * to see PROCESS, which serves it: a name, of which there is one by then. Shows
 * what the guest has to say. Ends with 0 if the guest came to its end and all
 * was ok.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_far.h"
#include "integration/virtiofs/hostile_tree.h"
#include "integration/virtiofs/hostile_watch.h"

#define AGAIN_NS 20000000

struct hostile hostile;

static FILE *guest; /* what it says, and the way to it */
static FILE *to_guest;
static unsigned long bad;

void link_die(const char *what)
{
	fprintf(stderr, "hostile-host: %s: %m\n", what);
	exit(1);
}

/* To whom asked. */
bool hostile_check(bool good, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return true;
	va_start(ap, fmt);
	fputc(FAR_WRONG, to_guest);
	vfprintf(to_guest, fmt, ap);
	fputc('\n', to_guest);
	va_end(ap);
	return false;
}

bool hostile_want(const char *what, int got, int wanted)
{
	return hostile_check(got == wanted, "%s: got %d, wanted %d", what, got,
			     wanted);
}

/* The call. ---------------------------------------------------------------- */

/* "OK <port>\n"; anything else, or nothing: the guest does not listen yet. */
static bool answered(int fd)
{
	char c, first = 0;

	do {
		if (read(fd, &c, 1) != 1)
			return false;
		if (!first)
			first = c;
	} while (c != '\n');
	return first == 'O';
}

static int call_once(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		link_die(path);
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    dprintf(fd, "CONNECT %u\n", FAR_PORT) > 0 && answered(fd))
		return fd;
	close(fd);
	return -1;
}

/* A guest that starts cannot tell when it is there. */
static void call(const char *path, unsigned seconds)
{
	const struct timespec again = {.tv_nsec = AGAIN_NS};
	uint64_t end = monotonic_ns() + seconds * 1000000000ull;
	int fd;

	while ((fd = call_once(path)) < 0) {
		if (monotonic_ns() > end)
			link_die("no guest");
		nanosleep(&again, NULL);
	}
	guest = fdopen(fd, "r");
	to_guest = fdopen(dup(fd), "w");
	if (!guest || !to_guest)
		link_die("fdopen");
}

/* There is one of that name. */
static void process_find(const char *name)
{
	static char pid[16];
	char command[64];
	FILE *f;

	snprintf(command, sizeof(command), "pgrep -x '%s'", name);
	f = popen(command, "re");
	if (!f || fscanf(f, "%15s", pid) != 1)
		link_die(name);
	pclose(f);
	watch_process(pid);
}

/* What the guest asks for. ------------------------------------------------- */

static unsigned long repair(void)
{
	tree_repair();
	return 0;
}

static unsigned long check(void)
{
	tree_check();
	return 0;
}

static unsigned long share_note(void)
{
	tree_share_note();
	return 0;
}

static unsigned long share_check(void)
{
	tree_share_check();
	return 0;
}

static unsigned long many(void)
{
	tree_many(true);
	return 0;
}

static unsigned long few(void)
{
	tree_many(false);
	return 0;
}

static unsigned long race(void)
{
	tree_racer_start();
	return 0;
}

static unsigned long halt(void)
{
	tree_racer_stop();
	return 0;
}

static unsigned long descriptors(void)
{
	return watch_descriptors();
}

static unsigned long host(void)
{
	return (unsigned long)watch_host();
}

static const struct {
	const char *word;
	unsigned long (*run)(void);
} requests[] = {
	{"repair", repair},
	{"check", check},
	{"share-note", share_note},
	{"share-check", share_check},
	{"many", many},
	{"few", few},
	{"race", race},
	{"halt", halt},
	{"races", tree_races},
	{"descriptors", descriptors},
	{"memory", watch_memory},
	{"host", host},
};

/* Whether it was the last one. */
static bool request(const char *word)
{
	unsigned long answer = 0;
	bool last = !strncmp(word, "end ", 4);
	size_t i = 0;

	while (i < ARRAY_SIZE(requests) && strcmp(requests[i].word, word) != 0)
		i++;
	if (i < ARRAY_SIZE(requests))
		answer = requests[i].run();
	else if (last)
		bad = strtoul(word + 4, NULL, 10);
	else
		link_die("the guest asks for something else");
	fprintf(to_guest, "%c%lu\n", FAR_DONE, answer);
	fflush(to_guest);
	return last;
}

static void serve(void)
{
	char line[FAR_LINE];
	char *ask;

	while (fgets(line, sizeof(line), guest)) {
		ask = strchr(line, FAR_ASK);
		if (!ask) {
			fputs(line, stdout);
			fflush(stdout);
			continue;
		}
		ask[strcspn(ask, "\n")] = 0;
		if (request(ask + 1))
			return;
	}
	link_die("the guest is gone");
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: hostile-host SOCKET SECONDS PROCESS "
				"SHARE OUTSIDE\n");
		return 2;
	}
	hostile.share = argv[4];
	hostile.outside = argv[5];
	tree_make();
	printf("ready\n");
	fflush(stdout);
	call(argv[1], (unsigned)atoi(argv[2]));
	process_find(argv[3]);
	serve();
	return bad != 0;
}

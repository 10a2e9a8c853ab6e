/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests that are under way when nacre-virtiofsd is killed, or when its
 * front-end goes and comes again, pauses, or takes the guest's memory away:
 *
 *	reconnect SERVER DIR SOCKET
 *
 * Runs SERVER on the empty directory DIR, again and again. Prints lines "ok"
 *and "not ok", and ends with 0 if there is none of the latter.
 *
 * What makes an open wait in the server is a lease that this process has.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "integration/bench/measure.h"
#include "integration/virtiofs/frontend.h"

/* Below /proc/sys/fs/lease-break-time, which is 45 s. */
#define LIMIT_S 20
#define ROUNDS 12u
#define REQUESTS 200u /* of a round, at most */
#define BLOCK 4096u
#define ANY 1 /* no error that a server answers */

static const char *program;
static const char *dir;
static const char *path;
static int dir_fd;
static struct frontend *fe;
static sigset_t told;
static unsigned failed;

static void verdict(const char *threads, const char *what, bool good)
{
	printf("%s reconnect: %s threads: %s\n", good ? "ok" : "not ok",
	       threads, what);
	fflush(stdout);
	failed += !good;
}

/* The server. ----------------------------------------------------------- */

static struct {
	pid_t pid;
	FILE *log;
} server;

/* Until it has said so. */
static bool says(const char *text)
{
	char line[256];

	while (fgets(line, sizeof(line), server.log))
		if (strstr(line, text))
			return true;
	return false;
}

static void serve(const char *threads)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		die("pipe");
	server.pid = fork();
	if (server.pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		execl(program, program, "--shared-dir", dir, "--socket-path",
		      path, "--sandbox", "none", "--thread-pool-size", threads,
		      NULL);
		_exit(127);
	}
	close(ends[1]);
	server.log = fdopen(ends[0], "r");
	if (server.pid < 0 || !server.log || !says(": ready"))
		die(program);
}

static void kill_server(void)
{
	kill(server.pid, SIGKILL);
	waitpid(server.pid, NULL, 0);
	fclose(server.log);
	frontend_drop(fe);
}

/* The host's files. ----------------------------------------------------- */

static void make_file(const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die(name);
	close(fd);
}

static int lease(const char *name)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK))
		die(name);
	return fd;
}

/* Somebody opens what has a lease. */
static bool is_told(void)
{
	const struct timespec limit = {.tv_sec = LIMIT_S};

	return sigtimedwait(&told, NULL, &limit) > 0;
}

static bool host_has(const char *name)
{
	return faccessat(dir_fd, name, F_OK, 0) == 0;
}

/* Requests. ------------------------------------------------------------- */

static void add_open(unsigned slot, uint64_t node)
{
	const struct fuse_open_in in = {.flags = O_RDWR};

	frontend_add(fe, slot,
		     &(struct request){.opcode = FUSE_OPEN,
				       .node = node,
				       .args = &in,
				       .args_len = sizeof(in),
				       .room = sizeof(struct fuse_open_out)});
	frontend_kick(fe);
}

static void add_getattr(unsigned slot, uint64_t node)
{
	const struct fuse_getattr_in in = {0};

	frontend_add(fe, slot,
		     &(struct request){.opcode = FUSE_GETATTR,
				       .node = node,
				       .args = &in,
				       .args_len = sizeof(in),
				       .room = sizeof(struct fuse_attr_out)});
	frontend_kick(fe);
}

/* Not kicked. */
static void add_mkdir(unsigned slot, const char *name)
{
	struct {
		struct fuse_mkdir_in in;
		char name[32];
	} args = {.in = {.mode = 0755}};

	snprintf(args.name, sizeof(args.name), "%s", name);
	frontend_add(fe, slot,
		     &(struct request){.opcode = FUSE_MKDIR,
				       .node = FUSE_ROOT_ID,
				       .args = &args,
				       .args_len = sizeof(args.in) +
						   strlen(args.name) + 1,
				       .room = sizeof(struct fuse_entry_out)});
}

static void add_write(unsigned slot, uint64_t node, uint64_t fh, unsigned i)
{
	const struct fuse_write_in in = {
		.fh = fh, .offset = (uint64_t)i * BLOCK, .size = BLOCK};

	memset(frontend_data(fe, slot), (int)('a' + i % 26), BLOCK);
	frontend_add(fe, slot,
		     &(struct request){.opcode = FUSE_WRITE,
				       .node = node,
				       .args = &in,
				       .args_len = sizeof(in),
				       .data_len = BLOCK,
				       .room = sizeof(struct fuse_write_out)});
}

static void add_read(unsigned slot, uint64_t node, uint64_t fh)
{
	const struct fuse_read_in in = {.fh = fh, .size = BLOCK};

	frontend_add(fe, slot,
		     &(struct request){.opcode = FUSE_READ,
				       .node = node,
				       .args = &in,
				       .args_len = sizeof(in),
				       .data_room = BLOCK});
	frontend_kick(fe);
}

static uint64_t lookup(const char *name)
{
	const struct fuse_entry_out *out = frontend_call(
		fe, &(struct request){.opcode = FUSE_LOOKUP,
				      .node = FUSE_ROOT_ID,
				      .args = name,
				      .args_len = strlen(name) + 1,
				      .room = sizeof(*out)});

	return out->nodeid;
}

/* The next one is that of the slot, with that error. */
static bool next_is(unsigned slot, int error)
{
	int got;

	return frontend_next(fe, &got) == slot && got == error;
}

/* All that are missing have that error; a bit for each slot in *slots, which
 * each has once. */
static bool rest_is(int error, unsigned *slots)
{
	bool good = true;

	for (*slots = 0; frontend_missing(fe) > 0;) {
		int got;
		unsigned slot = frontend_next(fe, &got);

		good = good && got == error && !(*slots & 1u << slot);
		*slots |= 1u << slot;
	}
	return good && frontend_settled(fe);
}

/* Cases. ---------------------------------------------------------------- */

/* What a session is not there for; the guest begins another one. */
static void another_session(const char *threads, uint64_t old_node)
{
	uint64_t node;

	frontend_begin(fe);
	add_getattr(0, old_node);
	verdict(threads, "a node of the session before is stale",
		next_is(0, -ESTALE));
	node = lookup("a");
	add_read(0, node, 99);
	verdict(threads, "a handle as well", next_is(0, -EBADF));
	add_open(0, node);
	verdict(threads, "another session has the file", next_is(0, 0));
}

/* An open of what has a lease then, the descriptor that is returned. */
static int open_waits(const char *threads, const char *name, uint64_t node)
{
	int fd = lease(name);

	add_open(0, node);
	verdict(threads, "an open waits", is_told());
	return fd;
}

/* Of two opens and more, one is under way, or both, with threads. */
static void killed_at_work(const char *threads)
{
	bool pool = threads[0] != '0';
	unsigned slots;
	uint64_t a, b;
	int leases[2];

	serve(threads);
	fe = frontend_open_tracked(path);
	a = lookup("a");
	b = lookup("b");
	leases[0] = open_waits(threads, "a", a);
	leases[1] = lease("b");
	add_open(1, b);
	verdict(threads, "and another one", !pool || is_told());
	add_getattr(2, FUSE_ROOT_ID);
	verdict(threads, "what came later is done", !pool || next_is(2, 0));
	verdict(threads, "what is under way is noted",
		frontend_has_notes(fe, pool ? 2 : 1));
	kill_server();
	add_mkdir(3, "never");
	frontend_kick(fe);
	close(leases[0]);
	close(leases[1]);
	serve(threads);
	frontend_again(fe, path);
	verdict(threads, "the next server takes it over",
		says(pool ? "ring 1: 2 requests taken over"
			  : "ring 1: 1 requests taken over"));
	if (!pool)
		verdict(threads, "and begins with it",
			next_is(0, -EIO) && next_is(1, -EIO) &&
				next_is(2, -EIO));
	verdict(threads, "each has an error, once",
		rest_is(-EIO, &slots) && slots == (pool ? 0xb : 0x8));
	verdict(threads, "nothing of it is done", !host_has("never"));
	another_session(threads, a);
	kill_server();
}

/* Taken in an order that is not the ring's: a session, and what is done in it
 * once. */
static void in_order(void)
{
	bool good;

	serve("0");
	fe = frontend_open_tracked(path);
	/* It has done with slot 0. */
	good = frontend_settled(fe);
	kill_server();
	add_mkdir(0, "made");
	add_mkdir(2, "made");
	frontend_add_init(fe, 5);
	add_getattr(3, FUSE_ROOT_ID);
	frontend_note(fe, 5, 7);
	frontend_note(fe, 2, 8);
	frontend_note(fe, 0, 9);
	serve("0");
	frontend_again(fe, path);
	good = good && next_is(5, 0) && next_is(2, 0) && next_is(0, -EEXIST) &&
	       next_is(3, 0);
	verdict("0", "in the order in which they were taken",
		good && frontend_settled(fe));
	kill_server();
	unlinkat(dir_fd, "made", AT_REMOVEDIR);
}

/* The server goes on; what waits in it does not. */
static void disconnected(void)
{
	uint64_t node;
	int fd;

	serve("2");
	fe = frontend_open_tracked(path);
	node = lookup("a");
	fd = open_waits("2", "a", node);
	frontend_drop(fe);
	verdict("2", "it ends with the connection", next_is(0, -EINTR));
	verdict("2", "and is not noted", frontend_has_notes(fe, 0));
	close(fd);
	frontend_again(fe, path);
	add_getattr(1, FUSE_ROOT_ID);
	verdict("2", "so does the session", next_is(1, -EIO));
	another_session("2", node);
	kill_server();
}

/* Memory whose file is cut short is no end of the server. */
static void cut_short(const char *threads)
{
	serve(threads);
	fe = frontend_open(path);
	frontend_cut(fe);
	verdict(threads, "memory that is gone is a fault",
		says("needs a reset"));
	frontend_drop(fe);
	fe = frontend_open(path);
	verdict(threads, "the next one is served", lookup("a") != 0);
	kill_server();
}

/* What waits ends here, too; the rest of the guest's state does not. */
static void paused(void)
{
	const struct fuse_open_out *out;
	uint64_t a, b, fh;
	int fd;

	serve("2");
	fe = frontend_open_tracked(path);
	a = lookup("a");
	b = lookup("b");
	add_open(0, a);
	if (!next_is(0, 0))
		die("a");
	out = frontend_reply(fe, 0);
	fh = out->fh;
	fd = open_waits("2", "b", b);
	frontend_pause(fe);
	verdict("2", "it ends with a pause", next_is(0, -EINTR));
	close(fd);
	add_read(1, a, fh);
	frontend_resume(fe);
	verdict("2", "what came in the pause is done, with what was open",
		next_is(1, 0));
	add_open(0, b);
	verdict("2", "nodes are known", next_is(0, 0));
	frontend_begin(fe);
	add_getattr(0, b);
	verdict("2", "not to a guest that begins again", next_is(0, -ESTALE));
	kill_server();
}

/* A server that is killed at any moment. -------------------------------- */

static struct {
	unsigned sent, done;
	uint64_t node, fh;
	unsigned at[FRONTEND_DEPTH];
	bool busy[FRONTEND_DEPTH];
	int error[REQUESTS]; /* ANY: none is known */
} work;

static void work_name(char name[16], unsigned i)
{
	snprintf(name, 16, "dir-%u", i);
}

/* Writes and names by turns. */
static void work_add(unsigned slot)
{
	unsigned i = work.sent++;
	char name[16];

	work.at[slot] = i;
	work.busy[slot] = true;
	work.error[i] = ANY;
	if (i % 2) {
		work_name(name, i);
		add_mkdir(slot, name);
	} else {
		add_write(slot, work.node, work.fh, i);
	}
}

/* One is complete. False: one that is not under way. */
static bool work_take(unsigned *slot)
{
	int error;

	*slot = frontend_next(fe, &error);
	if (*slot >= FRONTEND_DEPTH || !work.busy[*slot])
		return false;
	work.busy[*slot] = false;
	work.error[work.at[*slot]] = error;
	work.done++;
	return true;
}

/* What a server said is done is done, and what another one said later is an
 * error. */
static bool work_holds(void)
{
	int fd = openat(dir_fd, "data", O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && work.done == work.sent;

	for (unsigned i = 0; i < work.sent && good; i++) {
		char name[16], block[BLOCK];

		work_name(name, i);
		if (work.error[i] != 0)
			good = work.error[i] == -EIO;
		else if (i % 2)
			good = host_has(name);
		else
			good = pread(fd, block, BLOCK, (off_t)i * BLOCK) ==
				       BLOCK &&
			       block[0] == (char)('a' + i % 26) &&
			       memcmp(block, block + 1, BLOCK - 1) == 0;
		if (i % 2)
			unlinkat(dir_fd, name, AT_REMOVEDIR);
	}
	close(fd);
	return good;
}

static void work_begin(void)
{
	const struct fuse_open_out *out;

	memset(&work, 0, sizeof(work));
	work.node = lookup("data");
	add_open(0, work.node);
	if (!next_is(0, 0))
		die("data");
	out = frontend_reply(fe, 0);
	work.fh = out->fh;
	for (unsigned slot = 0; slot < FRONTEND_DEPTH; slot++)
		work_add(slot);
	frontend_kick(fe);
}

static bool round_of(const char *threads, unsigned kill_at)
{
	bool good = true;
	unsigned slot;

	work_begin();
	while (good && work.done < kill_at) {
		good = work_take(&slot);
		if (good) {
			work_add(slot);
			frontend_kick(fe);
		}
	}
	kill_server();
	serve(threads);
	frontend_again(fe, path);
	/* First what the killed one has answered still. */
	while (good && frontend_missing(fe) > 0)
		good = work_take(&slot);
	good = good && frontend_settled(fe) && work_holds();
	if (good)
		frontend_begin(fe);
	return good;
}

static void killed_at_any_time(const char *threads)
{
	bool good = true;

	make_file("data");
	serve(threads);
	fe = frontend_open_tracked(path);
	for (unsigned i = 0; i < ROUNDS && good; i++)
		good = round_of(threads, 3 + i * 37 % (REQUESTS - 20));
	verdict(threads, "killed again and again, each is completed once",
		good);
	kill_server();
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: reconnect SERVER DIR SOCKET\n");
		return 2;
	}
	program = argv[1];
	dir = argv[2];
	path = argv[3];
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		die(dir);
	sigemptyset(&told);
	sigaddset(&told, SIGIO);
	sigprocmask(SIG_BLOCK, &told, NULL);
	make_file("a");
	make_file("b");
	killed_at_work("0");
	killed_at_work("2");
	in_order();
	disconnected();
	cut_short("0");
	cut_short("2");
	paused();
	killed_at_any_time("0");
	killed_at_any_time("4");
	return failed > 0;
}

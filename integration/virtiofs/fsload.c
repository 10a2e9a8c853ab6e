/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a virtio-fs server takes for each kind of request, without a guest that
 * costs more than the server does. Prints a line for each figure, NAME VALUE
 * UNIT: requests in a second, one at a time (NAME) and many at once
 * (NAME-many), and the processor time that the server spent on one of them
 * (NAME-cpu). Then the server's memory, without the guest's, at the beginning
 * and for each inode that the guest has.
 *
 *	fsload SOCKET PID
 *
 * PID is the server's process, with those below it. The tree it shares gets
 * files, and loses them again.
 *
 *	fsload SOCKET PID INODES
 *
 * The server's memory alone, as what is too much of it: more than 2 MiB at the
 * beginning, or 200 bytes for each of as many inodes. That is what the
 * processes have for themselves: not the guest's memory, nor what the kernel
 * keeps for a descriptor, which an inode without a handle has.
 *
 *	fsload SOCKET KIND COUNT DEPTH
 *
 * COUNT requests of a kind, DEPTH at a time, after what it takes for them to
 *be: for whoever counts system calls or instructions, with two COUNTs.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "integration/bench/measure.h"
#include "integration/virtiofs/frontend.h"

#define SMALL 4096u
#define FILES 2000u
#define INODES 10000u
#define BASE_BYTES (2u << 20)
#define INODE_BYTES 200
#define FILE_SIZE (16u << 20)
#define LONG_ENOUGH_NS 300000000ull
#define NAME_LEN 16

static struct frontend *fe;
static const char *server;
static uint64_t data_node;
static uint64_t data_handle;
static uint64_t nodes[FILES];
static uint64_t handles[FILES];

/* The i-th request of a kind, to be sent before the arguments change. */
static union {
	struct fuse_getattr_in getattr;
	struct fuse_read_in read;
	struct fuse_write_in write;
	struct fuse_open_in open;
	struct fuse_release_in release;
	struct fuse_flush_in flush;
	struct {
		struct fuse_create_in in;
		char name[NAME_LEN];
	} create;
	struct {
		struct fuse_mknod_in in;
		char name[NAME_LEN];
	} mknod;
	char name[NAME_LEN];
} args;

static size_t name_put(char *at, unsigned i)
{
	return (size_t)snprintf(at, NAME_LEN, "small-%u", i % FILES) + 1;
}

static void getattr_at(unsigned i, struct request *r)
{
	args.getattr = (struct fuse_getattr_in){0};
	r->opcode = FUSE_GETATTR;
	r->node = nodes[i % FILES];
	r->args_len = sizeof(args.getattr);
	r->room = sizeof(struct fuse_attr_out);
}

static void lookup_at(unsigned i, struct request *r)
{
	r->opcode = FUSE_LOOKUP;
	r->args_len = name_put(args.name, i);
	r->room = sizeof(struct fuse_entry_out);
}

static void read_at(unsigned i, struct request *r, uint32_t len)
{
	args.read = (struct fuse_read_in){
		.fh = data_handle,
		.offset = i * 7919ull % (FILE_SIZE / len) * len,
		.size = len,
	};
	r->opcode = FUSE_READ;
	r->node = data_node;
	r->args_len = sizeof(args.read);
	r->data_room = len;
}

static void read_small(unsigned i, struct request *r)
{
	read_at(i, r, SMALL);
}

static void read_large(unsigned i, struct request *r)
{
	read_at(i, r, FRONTEND_DATA);
}

static void write_at(unsigned i, struct request *r, uint32_t len)
{
	args.write = (struct fuse_write_in){
		.fh = data_handle,
		.offset = i * 7919ull % (FILE_SIZE / len) * len,
		.size = len,
	};
	r->opcode = FUSE_WRITE;
	r->node = data_node;
	r->args_len = sizeof(args.write);
	r->data_len = len;
	r->room = sizeof(struct fuse_write_out);
}

static void write_small(unsigned i, struct request *r)
{
	write_at(i, r, SMALL);
}

static void write_large(unsigned i, struct request *r)
{
	write_at(i, r, FRONTEND_DATA);
}

static void create_at(unsigned i, struct request *r)
{
	args.create.in = (struct fuse_create_in){
		.flags = O_WRONLY | O_CREAT | O_EXCL,
		.mode = S_IFREG | 0644,
	};
	r->opcode = FUSE_CREATE;
	r->args_len = sizeof(args.create.in) + name_put(args.create.name, i);
	r->room = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out);
}

static void created(unsigned i, const void *reply)
{
	const struct fuse_entry_out *entry = reply;
	const struct fuse_open_out *out = (const void *)(entry + 1);

	nodes[i] = entry->nodeid;
	handles[i] = out->fh;
}

static void flush_at(unsigned i, struct request *r)
{
	args.flush = (struct fuse_flush_in){.fh = handles[i % FILES]};
	r->opcode = FUSE_FLUSH;
	r->node = nodes[i % FILES];
	r->args_len = sizeof(args.flush);
}

static void release_at(unsigned i, struct request *r)
{
	args.release = (struct fuse_release_in){.fh = handles[i]};
	r->opcode = FUSE_RELEASE;
	r->node = nodes[i];
	r->args_len = sizeof(args.release);
}

static void open_at(unsigned i, struct request *r)
{
	args.open = (struct fuse_open_in){.flags = O_RDONLY};
	r->opcode = FUSE_OPEN;
	r->node = nodes[i];
	r->args_len = sizeof(args.open);
	r->room = sizeof(struct fuse_open_out);
}

static void opened(unsigned i, const void *reply)
{
	handles[i] = ((const struct fuse_open_out *)reply)->fh;
}

static void unlink_at(unsigned i, struct request *r)
{
	r->opcode = FUSE_UNLINK;
	r->args_len = name_put(args.name, i);
}

static void mknod_at(unsigned i, struct request *r)
{
	args.mknod.in = (struct fuse_mknod_in){.mode = S_IFREG | 0644};
	r->opcode = FUSE_MKNOD;
	r->args_len =
		sizeof(args.mknod.in) +
		(size_t)snprintf(args.mknod.name, NAME_LEN, "inode-%u", i) + 1;
	r->room = sizeof(struct fuse_entry_out);
}

/* ------------------------------------------------------------------------ */

struct kind {
	const char *name;
	void (*make)(unsigned i, struct request *r);
	void (*done)(unsigned i, const void *reply);
	bool once; /* each file has it once */
};

/* In the order in which they can be. */
static const struct kind kinds[] = {
	{"CREATE", create_at, created, true},
	{"FLUSH", flush_at, NULL, false},
	{"RELEASE", release_at, NULL, true},
	{"GETATTR", getattr_at, NULL, false},
	{"LOOKUP", lookup_at, NULL, false},
	{"OPEN", open_at, opened, true},
	{"RELEASE-read", release_at, NULL, true},
	{"READ-4k", read_small, NULL, false},
	{"WRITE-4k", write_small, NULL, false},
	{"READ-1M", read_large, NULL, false},
	{"WRITE-1M", write_large, NULL, false},
	{"UNLINK", unlink_at, NULL, true},
};

static void add(const struct kind *kind, unsigned slot, unsigned i)
{
	struct request r = {.node = FUSE_ROOT_ID, .args = &args};

	kind->make(i, &r);
	frontend_add(fe, slot, &r);
}

/* Requests first to first + n - 1, `depth` at a time. */
static void run(const struct kind *kind, unsigned first, unsigned n,
		unsigned depth)
{
	unsigned at[FRONTEND_DEPTH];
	unsigned sent = 0;
	unsigned slot;
	int error;

	for (; sent < depth && sent < n; sent++) {
		at[sent] = first + sent;
		add(kind, sent, at[sent]);
	}
	frontend_kick(fe);
	for (unsigned done = 0; done < n; done++) {
		slot = frontend_next(fe, &error);
		if (error) {
			fprintf(stderr, "fsload: %s: %s\n", kind->name,
				strerror(-error));
			exit(1);
		}
		if (kind->done)
			kind->done(at[slot], frontend_reply(fe, slot));
		if (sent == n)
			continue;
		at[slot] = first + sent++;
		add(kind, slot, at[slot]);
		frontend_kick(fe);
	}
}

/* Of all threads of a process. */
static uint64_t process_ns(const char *pid)
{
	char path[300];
	uint64_t sum = 0;
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((d = readdir(dir))) {
		unsigned long long ns;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", pid,
			 d->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (d->d_name[0] != '.' && fscanf(file, "%llu", &ns) == 1)
			sum += ns;
		fclose(file);
	}
	closedir(dir);
	return sum;
}

/* Of the process and all below it: one of them serves, which may be there
 * only when somebody is connected. */
static uint64_t family_sum(const char *pid, uint64_t (*of)(const char *pid))
{
	uint64_t sum = of(pid);
	char path[64], child[16];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/children", pid, pid);
	file = fopen(path, "r");
	if (!file)
		die(path);
	while (fscanf(file, "%15s", child) == 1)
		sum += family_sum(child, of);
	fclose(file);
	return sum;
}

static uint64_t server_ns(void)
{
	return family_sum(server, process_ns);
}

/* From `first` on, as many as take long enough, or the half of the files. */
static double rate(const struct kind *kind, unsigned first, unsigned depth,
		   unsigned *n)
{
	uint64_t start = monotonic_ns();

	*n = 0;
	do {
		run(kind, first + *n, FILES / 2, depth);
		*n += FILES / 2;
	} while (!kind->once && monotonic_ns() - start < LONG_ENOUGH_NS);
	return *n * 1e9 / (double)(monotonic_ns() - start);
}

static void measure(const struct kind *kind)
{
	uint64_t cpu = server_ns();
	char name[32];
	unsigned n;

	say(kind->name, rate(kind, 0, 1, &n), "/s");
	cpu = server_ns() - cpu;
	snprintf(name, sizeof(name), "%s-cpu", kind->name);
	say(name, (double)cpu / n / 1e3, "us");
	snprintf(name, sizeof(name), "%s-many", kind->name);
	say(name, rate(kind, FILES / 2, FRONTEND_DEPTH, &n), "/s");
}

static uint64_t process_bytes(const char *pid)
{
	char path[64], line[128];
	uint64_t sum = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", pid);
	file = fopen(path, "r");
	if (!file)
		die(path);
	while (fgets(line, sizeof(line), file)) {
		unsigned long long kib;

		if (sscanf(line, "Pss_Anon: %llu", &kib) == 1 ||
		    sscanf(line, "Pss_File: %llu", &kib) == 1)
			sum += kib << 10;
	}
	fclose(file);
	return sum;
}

static uint64_t server_bytes(void)
{
	return family_sum(server, process_bytes);
}

/* What an inode takes, of so many. */
static double measure_memory(uint64_t base, unsigned inodes)
{
	const struct kind mknod = {.name = "inodes", .make = mknod_at};
	uint64_t before = server_bytes();
	double each;

	say("memory", (double)base / 1024, "KiB");
	run(&mknod, 0, inodes, FRONTEND_DEPTH);
	each = (double)(server_bytes() - before) / inodes;
	say("memory-inode", each, "B");
	return each;
}

static int check_memory(const char *count)
{
	unsigned inodes = (unsigned)strtoul(count, NULL, 10);
	uint64_t base = server_bytes();

	return inodes && measure_memory(base, inodes) <= INODE_BYTES &&
			       base <= BASE_BYTES
		       ? 0
		       : 1;
}

static void make_data(void)
{
	struct request r = {
		.opcode = FUSE_CREATE,
		.node = FUSE_ROOT_ID,
		.args = &args,
		.room = sizeof(struct fuse_entry_out) +
			sizeof(struct fuse_open_out),
	};
	const struct fuse_entry_out *entry;

	args.create.in = (struct fuse_create_in){
		.flags = O_RDWR | O_CREAT | O_TRUNC,
		.mode = S_IFREG | 0644,
	};
	strcpy(args.create.name, "data");
	r.args_len = sizeof(args.create.in) + sizeof("data");
	entry = frontend_call(fe, &r);
	data_node = entry->nodeid;
	data_handle = ((const struct fuse_open_out *)(entry + 1))->fh;
	run(&(const struct kind){.name = "data", .make = write_large}, 0,
	    FILE_SIZE / FRONTEND_DATA, 1);
}

static void run_one(const char *name, const char *count, const char *depth)
{
	unsigned n = (unsigned)strtoul(count, NULL, 10);
	unsigned at_once = (unsigned)strtoul(depth, NULL, 10);

	if (at_once < 1 || at_once > FRONTEND_DEPTH) {
		fprintf(stderr, "fsload: 1 to %u at a time\n", FRONTEND_DEPTH);
		exit(2);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool wanted = strcmp(kinds[i].name, name) == 0;

		if (wanted && kinds[i].once && n > FILES) {
			fprintf(stderr, "fsload: %u of %s at most\n", FILES,
				name);
			exit(2);
		}
		if (wanted || kinds[i].once)
			run(&kinds[i], 0, wanted ? n : FILES,
			    wanted ? at_once : 1);
		if (wanted)
			return;
	}
	fprintf(stderr, "fsload: no kind %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t base;

	if (argc < 3 || argc > 5) {
		fprintf(stderr, "usage: fsload SOCKET PID [INODES] | "
				"SOCKET KIND COUNT DEPTH\n");
		return 2;
	}
	fe = frontend_open(argv[1]);
	if (argc == 5) {
		make_data();
		run_one(argv[2], argv[3], argv[4]);
		return 0;
	}
	server = argv[2];
	if (argc == 4)
		return check_memory(argv[3]);
	base = server_bytes();
	make_data();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		measure(&kinds[i]);
	measure_memory(base, INODES);
	return 0;
}

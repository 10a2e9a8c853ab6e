/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests in several queues at once, about one and the same file: whatever
 * order they come to be in, counts are right afterwards, and nothing is
 * anything else than it was.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_tree.h"

#define SESSION 32u /* rounds until what nobody can close any more goes */
#define NAME "many"
#define TEXT "many threads"
#define LOOKUPS_MAX 4u
#define HANDLES 2u
/* The first node, and what each request of a batch may find. */
#define NODES (LINK_SLOTS + 1u)

/* What the guest holds. */
static struct {
	const char *name;
	const char *text;
	struct {
		uint64_t id;
		uint64_t lookups;
	} nodes[NODES];
	unsigned nodes_n;
	struct {
		uint64_t node;
		uint64_t fh;
		unsigned releases; /* that were good */
	} handles[NODES + HANDLES];
	unsigned handles_n;
	uint64_t forgets; /* of the first node, in this batch */
	bool unlinked;
} held;

/* One request of a batch. */
struct act {
	uint32_t opcode;
	unsigned handle;
	union {
		struct fuse_getattr_in getattr;
		struct fuse_forget_in forget;
		struct fuse_open_in open;
		struct fuse_read_in read;
		struct fuse_release_in release;
		struct {
			struct fuse_write_in in;
			char text[sizeof(TEXT)];
		} write;
		struct {
			struct fuse_create_in in;
			char name[sizeof(NAME)];
		} create;
		char name[16];
	} args;
};

/* -errno, among those that a request may end with. */
static bool error_in(int error, const int *errors)
{
	for (; *errors; errors++) {
		if (error == *errors)
			return true;
	}
	return error == 0;
}

static void node_found(uint64_t id)
{
	unsigned i = 0;

	while (i < held.nodes_n && held.nodes[i].id != id)
		i++;
	if (i == NODES)
		link_die("more nodes than requests");
	if (i == held.nodes_n) {
		held.nodes[i].id = id;
		held.nodes[i].lookups = 0;
		held.nodes_n++;
	}
	held.nodes[i].lookups++;
}

static void handle_found(uint64_t node, uint64_t fh)
{
	for (unsigned i = 0; i < held.handles_n; i++)
		hostile_check(held.handles[i].fh != fh, "handle %#llx, twice",
			      (unsigned long long)fh);
	held.handles[held.handles_n].node = node;
	held.handles[held.handles_n].fh = fh;
	held.handles[held.handles_n++].releases = 0;
}

/* Making requests. --------------------------------------------------------- */

static size_t make_handled(struct act *act)
{
	uint64_t fh = held.handles[act->handle].fh;

	switch (act->opcode) {
	case FUSE_READ:
		act->args.read.fh = fh;
		act->args.read.size = 4096;
		return sizeof(act->args.read);
	case FUSE_WRITE:
		act->args.write.in.fh = fh;
		act->args.write.in.size = (uint32_t)strlen(held.text);
		strcpy(act->args.write.text, held.text);
		return sizeof(act->args.write.in) + strlen(held.text);
	default:
		act->args.release.fh = fh;
		return sizeof(act->args.release);
	}
}

static size_t make_args(struct act *act)
{
	switch (act->opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
		strcpy(act->args.name, held.name);
		return strlen(held.name) + 1;
	case FUSE_CREATE:
		act->args.create.in.flags = O_RDWR;
		act->args.create.in.mode = S_IFREG | 0644;
		strcpy(act->args.create.name, held.name);
		return sizeof(act->args.create.in) + strlen(held.name) + 1;
	case FUSE_FORGET:
		act->args.forget.nlookup = 1;
		return sizeof(act->args.forget);
	case FUSE_GETATTR:
		return sizeof(act->args.getattr);
	case FUSE_OPEN:
		act->args.open.flags = O_RDONLY;
		return sizeof(act->args.open);
	default:
		return make_handled(act);
	}
}

static uint32_t any_opcode(void)
{
	static const uint32_t harmless[] = {
		FUSE_LOOKUP, FUSE_LOOKUP, FUSE_FORGET,	FUSE_FORGET,  FUSE_READ,
		FUSE_READ,   FUSE_OPEN,	  FUSE_RELEASE, FUSE_GETATTR,
	};
	static const uint32_t others[] = {FUSE_UNLINK, FUSE_CREATE, FUSE_WRITE};

	if (!hostile.readonly && hostile_draw(3) == 0)
		return others[hostile_draw(ARRAY_SIZE(others))];
	return harmless[hostile_draw(ARRAY_SIZE(harmless))];
}

/* A guest that forgets more than it holds is another group's. */
static void act_make(struct act *act, struct hostile_request *r)
{
	memset(act, 0, sizeof(*act));
	act->opcode = any_opcode();
	act->handle = (unsigned)hostile_draw(HANDLES);
	if (act->opcode == FUSE_FORGET && held.forgets == held.nodes[0].lookups)
		act->opcode = FUSE_GETATTR;
	held.forgets += act->opcode == FUSE_FORGET;
	held.unlinked |= act->opcode == FUSE_UNLINK;
	*r = (struct hostile_request){
		.opcode = act->opcode,
		.node = held.nodes[0].id,
		.args = &act->args,
		.room = 8192,
		.hiprio = act->opcode == FUSE_FORGET && hostile_draw(2),
		.queue = (unsigned)hostile_draw(LINK_REQUEST_QUEUES),
	};
	if (act->opcode == FUSE_LOOKUP || act->opcode == FUSE_UNLINK ||
	    act->opcode == FUSE_CREATE)
		r->node = HOSTILE_ROOT;
	r->len = make_args(act);
}

/* What came of them. ------------------------------------------------------- */

static bool error_fits(uint32_t opcode, int error)
{
	static const int of_name[] = {-ENOENT, 0};
	static const int of_node[] = {-ESTALE, 0};
	static const int of_handle[] = {-ESTALE, -EBADF, 0};

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
		return error_in(error, of_name);
	case FUSE_CREATE:
		/* Where there was one, and then none, and then one. */
		return error_in(error, of_name) || error == -EEXIST;
	case FUSE_FORGET:
		return error == 0;
	case FUSE_GETATTR:
	case FUSE_OPEN:
		return error_in(error, of_node);
	default:
		return error_in(error, of_handle);
	}
}

static void act_done(const struct act *act, unsigned slot)
{
	const struct fuse_entry_out *entry = hostile_reply_of(slot);
	const struct fuse_open_out *open = hostile_reply_of(slot);
	const struct fuse_out_header *head =
		(const void *)((const uint8_t *)open - sizeof(*head));
	size_t len = strlen(held.text);

	switch (act->opcode) {
	case FUSE_CREATE:
		node_found(entry->nodeid);
		open = (const void *)(entry + 1);
		handle_found(entry->nodeid, open->fh);
		break;
	case FUSE_LOOKUP:
		node_found(entry->nodeid);
		break;
	case FUSE_OPEN:
		handle_found(held.nodes[0].id, open->fh);
		break;
	case FUSE_RELEASE:
		held.handles[act->handle].releases++;
		break;
	case FUSE_READ:
		hostile_check(head->len == sizeof(*head) + len &&
				      !memcmp(open, held.text, len),
			      "READ of something else, %u bytes", head->len);
		break;
	default:
		break;
	}
}

static void batch(void)
{
	struct hostile_request requests[LINK_SLOTS];
	struct act acts[LINK_SLOTS];
	int errors[LINK_SLOTS];

	held.forgets = 0;
	held.unlinked = false;
	for (unsigned i = 0; i < LINK_SLOTS; i++)
		act_make(&acts[i], &requests[i]);
	hostile_batch(requests, LINK_SLOTS, errors);
	for (unsigned i = 0; i < LINK_SLOTS; i++) {
		hostile_check(error_fits(acts[i].opcode, errors[i]),
			      "opcode %u, among others: %d", acts[i].opcode,
			      errors[i]);
		if (errors[i] == 0)
			act_done(&acts[i], i);
	}
	held.nodes[0].lookups -= held.forgets;
}

/* A round. ----------------------------------------------------------------- */

static void begin(void)
{
	uint64_t node = hostile_lookup(HOSTILE_ROOT, held.name);
	uint64_t fh;

	memset(held.nodes, 0, sizeof(held.nodes));
	held.nodes_n = held.handles_n = 0;
	if (!hostile_check(node, "LOOKUP before the others"))
		return;
	node_found(node);
	for (uint64_t n = hostile_draw(LOOKUPS_MAX); n > 0; n--)
		node_found(hostile_lookup(HOSTILE_ROOT, held.name));
	hostile_check(held.nodes_n == 1, "a file is two");
	for (unsigned i = 0; i < HANDLES; i++) {
		hostile_want("OPEN before the others",
			     hostile_open(node,
					  hostile.readonly ? O_RDONLY : O_RDWR,
					  &fh),
			     0);
		handle_found(node, fh);
	}
}

/* The file as a round begins with it. */
static void file_make(void)
{
	struct {
		struct fuse_create_in in;
		char name[sizeof(NAME)];
	} create = {
		.in = {.flags = O_RDWR | O_TRUNC, .mode = S_IFREG | 0644},
		.name = NAME,
	};
	struct {
		struct fuse_write_in in;
		char text[sizeof(TEXT)];
	} write = {.in.size = (uint32_t)strlen(TEXT), .text = TEXT};
	const struct fuse_entry_out *entry = hostile_reply();
	uint64_t node;

	hostile_want("CREATE",
		     hostile_call(FUSE_CREATE, HOSTILE_ROOT, &create,
				  sizeof(create.in) + sizeof(NAME)),
		     0);
	node = entry->nodeid;
	write.in.fh = ((const struct fuse_open_out *)(entry + 1))->fh;
	hostile_want("WRITE",
		     hostile_call(FUSE_WRITE, node, &write,
				  sizeof(write.in) + strlen(TEXT)),
		     0);
	hostile_want("RELEASE", hostile_release(node, write.in.fh), 0);
	hostile_forget(node, 1);
}

static int look(uint64_t node)
{
	const struct fuse_getattr_in in = {0};

	return hostile_call(FUSE_GETATTR, node, &in, sizeof(in));
}

static uint64_t lookups_of(uint64_t id)
{
	for (unsigned i = 0; i < held.nodes_n; i++) {
		if (held.nodes[i].id == id)
			return held.nodes[i].lookups;
	}
	return 0;
}

/* A file handle of what has no name any more, and is not open, may lead
 * nowhere. */
static bool may_be_gone(void)
{
	return hostile.no_fds && held.unlinked;
}

static void handles_check(void)
{
	int error;

	for (unsigned i = 0; i < held.handles_n; i++) {
		uint64_t node = held.handles[i].node;
		unsigned n = held.handles[i].releases;

		hostile_check(n <= 1, "%u times released", n);
		if (!lookups_of(node))
			continue; /* goes with the session */
		error = hostile_release(node, held.handles[i].fh);
		hostile_check(error == (n ? -EBADF : 0) ||
				      (n && may_be_gone() && error == -ESTALE),
			      "RELEASE after %u others: %d", n, error);
	}
}

/* As many lookups as there were replies to them, not one more or less. */
static void nodes_check(void)
{
	for (unsigned i = 0; i < held.nodes_n; i++) {
		uint64_t id = held.nodes[i].id;
		uint64_t n = held.nodes[i].lookups;

		if (n > 1)
			hostile_forget(id, n - 1);
		if (n && !may_be_gone())
			hostile_want("GETATTR, held", look(id), 0);
		if (n)
			hostile_forget(id, 1);
		hostile_want("GETATTR, forgotten", look(id), -ESTALE);
	}
}

void group_queues(void)
{
	held.name = hostile.readonly ? "alive" : NAME;
	held.text = hostile.readonly ? TREE_ALIVE : TEXT;
	for (unsigned i = 1; i <= hostile.rounds * hostile.seconds; i++) {
		if (!hostile.readonly)
			file_make();
		begin();
		if (hostile.wrong)
			break;
		batch();
		handles_check();
		nodes_check();
		if (hostile.wrong)
			break;
		if (i % SESSION == 0) {
			hostile_destroy();
			hostile_want("INIT", hostile_init(), 0);
		}
	}
}

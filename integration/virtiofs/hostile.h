/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_H
#define INTEGRATION_VIRTIOFS_HOSTILE_H

/*
 * The requests of a hostile guest. Whatever they are, each reply is a FUSE
 * reply, none has the secret in it, and what lies outside of the share stays
 * as it is. Groups say what is wrong and go on.
 */

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "integration/virtiofs/hostile_link.h"

/* Of a slot of guest memory: the request, then its reply. */
#define HOSTILE_HALF (LINK_MEMORY / 2 / LINK_SLOTS / 2)
/* The second half of guest memory is for layouts of the groups' own. */
#define HOSTILE_OWN (LINK_MEMORY / 2)
#define HOSTILE_FAULT 1

/* Of the share; the device's own may be above it. */
#define HOSTILE_ROOT (hostile.root)

struct hostile {
	const char *share; /* as the host sees it */
	const char *outside;
	const char *path; /* from the device's root to the share; NULL: none */
	uint64_t root;	  /* node */
	bool readonly;	  /* the server is */
	bool no_fds;	  /* the server's inodes are file handles */
	bool size_limit;  /* RLIMIT_FSIZE of the server: 128 MiB */
	bool dax;
	unsigned seconds; /* of the long groups */
	unsigned rounds;  /* of many requests, for each second */
	uint64_t seed;
	unsigned long requests;
	unsigned wrong;	     /* of this group */
	const char *skipped; /* why, or NULL */
	uint32_t reply_len;
};

extern struct hostile hostile;

struct hostile_request {
	uint32_t opcode;
	uint64_t node;
	uint32_t uid;
	uint32_t gid;
	const void *args;
	size_t len;
	size_t room;	/* after the header of the reply */
	bool silent;	/* no room for a reply at all */
	unsigned queue; /* which of those for requests, from 0 */
	bool hiprio;	/* or the other one */
};

/* Several at a time, at most LINK_SLOTS: in slots 0 and up, all waited for.
 * errors: 0, -errno, or HOSTILE_FAULT for all from there on. */
void hostile_batch(const struct hostile_request *requests, unsigned n,
		   int *errors);
int hostile_run(const struct hostile_request *request);
/* With room for any reply. */
int hostile_call(uint32_t opcode, uint64_t node, const void *args, size_t len);
int hostile_name(uint32_t opcode, uint64_t node, const char *name);
/* After the header; of slot 0. */
const void *hostile_reply(void);
const void *hostile_reply_of(unsigned slot);
/* The chain is as the group made it, in HOSTILE_OWN, with its reply at out. */
int hostile_raw(unsigned queue, const struct link_seg *segs, unsigned n,
		uint64_t out);

/* Says what is wrong. False: it is. */
bool hostile_check(bool good, const char *fmt, ...) PRINTF(2, 3);
bool hostile_want(const char *what, int got, int wanted);

/* The group, or what is left of it, makes no sense here. */
void hostile_skip(const char *why);

/* A session, with what the server offers. */
int hostile_init(void);
/* Looks it up, for a guest that may have forgotten it: its node is another
 * one in each session. */
void hostile_find_root(void);
/* Ends it: nothing is held any more. */
void hostile_destroy(void);
/* After a fault: a guest that boots again. */
void hostile_again(void);
/* The node, 0: none. */
uint64_t hostile_lookup(uint64_t dir, const char *name);
int hostile_open(uint64_t node, uint32_t flags, uint64_t *fh);
int hostile_opendir(uint64_t node, uint64_t *fh);
int hostile_read(uint64_t node, uint64_t fh, uint64_t offset, uint32_t size);
int hostile_release(uint64_t node, uint64_t fh);
int hostile_forget(uint64_t node, uint64_t n);
uint64_t hostile_draw(uint64_t below);

#endif

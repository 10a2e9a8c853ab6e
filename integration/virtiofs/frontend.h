/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_FRONTEND_H
#define INTEGRATION_VIRTIOFS_FRONTEND_H

/*
 * A guest without a processor: sends FUSE requests of its own to any virtio-fs
 * server, over vhost-user, as a Linux guest lays them out and with its manners
 * (it sleeps until it is interrupted, with EVENT_IDX on both sides). What
 * fails is the end of the program.
 */

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests that are under way at once, at most. */
#define FRONTEND_DEPTH 16u
#define FRONTEND_DATA (1u << 20)

struct frontend;

/* Connects, and has the session begun. */
struct frontend *frontend_open(const char *path);

/*
 * The same with memory in which the server notes what it has (vhost-user,
 * "Inflight I/O tracking"), which the next server gets: frontend_drop is the
 * end of the connection, frontend_again that of the time without one. Rings
 * and requests stay, the session does not: frontend_begin, on slot 0.
 */
struct frontend *frontend_open_tracked(const char *path);
void frontend_drop(struct frontend *fe);
void frontend_again(struct frontend *fe, const char *path);
void frontend_begin(struct frontend *fe);
/* Takes the guest's memory away, and kicks; but frontend_drop, nothing goes any
 * more. */
void frontend_cut(struct frontend *fe);
/* As the machine is paused, and goes on, with the same session. */
void frontend_pause(struct frontend *fe);
void frontend_resume(struct frontend *fe);
/* FUSE_INIT as it has it. */
void frontend_add_init(struct frontend *fe, unsigned slot);

/* While there is no server: as if it had taken the slot's request, as the one
 * with that number. */
void frontend_note(struct frontend *fe, unsigned slot, uint64_t counter);
/* So many are noted, now or soon: a note goes after the answer has come, which
 * frontend_next has told. */
bool frontend_has_notes(const struct frontend *fe, unsigned n);
/* Those of which frontend_next was not the answer yet. */
unsigned frontend_missing(const struct frontend *fe);
/* All were answered, once, and none is noted. */
bool frontend_settled(const struct frontend *fe);

/* A request's parts: its arguments, then its data; room for the reply. */
struct request {
	uint32_t opcode;
	uint64_t node;
	const void *args;
	size_t args_len;
	size_t data_len; /* of whatever is in the slot's buffer */
	size_t room;	 /* after the header of the reply */
	size_t data_room;
};

/* In slot 0 to FRONTEND_DEPTH - 1, which must be free. */
void frontend_add(struct frontend *fe, unsigned slot, const struct request *r);
/* What was added is for the server. */
void frontend_kick(struct frontend *fe);
/* Waits for one of them: its slot. Its error, 0 or -errno, in *error. */
unsigned frontend_next(struct frontend *fe, int *error);
/* The fixed part of a slot's reply, after the header. */
const void *frontend_reply(const struct frontend *fe, unsigned slot);
void *frontend_data(const struct frontend *fe, unsigned slot);

/* One alone: its reply. Dies of an error. */
const void *frontend_call(struct frontend *fe, const struct request *r);

#endif

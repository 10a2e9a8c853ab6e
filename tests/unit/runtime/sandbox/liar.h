/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RUNTIME_SANDBOX_LIAR_H
#define TESTS_UNIT_RUNTIME_SANDBOX_LIAR_H

/*
 * A sandbox process whose agent lies, in place of the jailed one: no VM, only
 * the agent's connection and the control channel. And a client of the
 * supervisor, which is the real one, under the sanitizers.
 *
 * Needs root: without it the tests are skipped.
 */

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* The supervisor's own limits are 1 s (5 s for the shutdown of a guest). */
#define HANG_MS 15000
#define LIAR_ID "liar"
#define SECOND_ID "second" /* one more container in its sandbox */

enum lie {
	HONEST,
	/* At a call. */
	CLOSES,
	DIES,
	REFUSES,
	CANCELS,
	CLAIMS_A_HUGE_FRAME,
	SENDS_GARBAGE,
	ANSWERS_UNASKED,
	SENDS_LONG_DATA,
	SENDS_MANY, /* as many messages in one as a reply can hold */
	ENDS_IN_THE_FUTURE,
	BREAKS_CONTROL,
	SENDS_EMPTY_CONTROL,
	FLOODS_LOG,
	FLOODS_CONSOLE,
	LAST_QUICK_LIE = FLOODS_CONSOLE,
	RUNS_OUT_OF_MEMORY, /* whenever it is asked */
	OTHERS_RUN_OUT_TOO, /* of which there are none; then it closes */
	SAYS_WHY,	    /* on its console, and closes */
	IS_SILENT,
	IS_SLOW, /* 0.3 s */
	/* When it is dialed. */
	TAKES_NO_CALL,
	SAYS_NO_WORD,
	SAYS_NO,
	/* When it is dialed for standard streams, which it offers to take. */
	IGNORES_STREAMS,
	REFUSES_STREAMS,
	MISNAMES_STREAMS,
	KEEPS_STREAMS, /* open, unread, and silent */
	FLOODS_STREAMS,
	ENDS_STREAMS,
	/* At a call, with an agent that repeats changes of files. */
	TELLS_OF_FILES,	      /* once */
	TELLS_OF_FILES_TWICE, /* the second time unasked */
	MISTELLS_OF_FILES,
	ANNOUNCES_ALL, /* and is honest */
};

/* liar.c: what the next one does at the call of this method. */
void liar_plan(enum lie lie, const char *method);

/* liar_client.c */
int liar_set_up(void **state);
int liar_tear_down(void **state);

/* Forks a supervisor, whose sandbox process lies at the call of this method.
 * A connection to it. */
int liar_start(enum lie lie, const char *method);
/* It must end by itself, sound, and with a short log. Takes fd. */
void liar_finish(int fd);
/* Whether those that start from now on have an interface, with a route and a
 * neighbour. False: there is none to be had. */
bool liar_network(bool on);

/* One more connection. */
int client_new(void);
/* Sends a request, the first and only one of its connection. */
void client_send(int fd, const char *method, const ProtobufCMessage *request);
void client_ask_to_create(int fd);
void client_ask_to_wait(int fd);
void client_ask_to_watch(int fd); /* for its first event */
/* How often it ran out of memory, once that is not so often. */
uint64_t client_events(int fd, uint64_t seen);
/* Asks for what makes the supervisor call that method of the agent's, of a
 * container that was created, or of the process "e" of its. */
void client_ask_for(int fd, const char *method);
/* Whether something comes within so long. */
bool client_answered(int fd, int ms);
/* The code of the answer to client_send; it may not take for ever. */
int client_answer(int fd);

/* The code of the answer; -1: none. It may not take for ever. */
int client_create(int fd);
int client_start(int fd, const char *exec_id);
int client_exec(int fd, const char *exec_id);
/* more: of the process, in JSON. */
int client_exec_with(int fd, const char *exec_id, const char *more);
/* Of linux in the specification of those that are created from now on. */
void client_linux(const char *more);
/* Changes its resources, in JSON. */
int client_update(int fd, const char *resources);
int client_kill(int fd);
int client_delete(int fd);
int client_create_second(int fd);
int client_kill_second(int fd);
/* As client_ask_for. */
int client_do(int fd, const char *method);
/* By a connection of its own. */
int client_state(void);
/* Why it is over; static storage. */
const char *client_reason(void);
/* When init ended, in seconds since the epoch. */
int64_t client_exited_at(void);
/* Of the last refusal that one of these got. */
extern char client_text[512];

#endif

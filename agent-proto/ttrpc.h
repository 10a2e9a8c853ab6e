/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_TTRPC_H
#define AGENT_PROTO_TTRPC_H

/*
 * ttrpc, both ends, on an event loop. A frame is a header of ten bytes (u32
 * length, u32 stream id, u8 type, u8 flags, big-endian) and a protobuf
 * message of at most 4 MiB. Calls are unary; replies come in any order, one for
 * each request, of at most 1 MiB.
 *
 * The peer is hostile: lengths are capped before memory is taken, a stream id
 * that was never used or is in use ends the connection, and a slow reader is
 * not read from while 8 MiB wait for it.
 */

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"

#define TTRPC_PAYLOAD_MAX (4u << 20)
#define TTRPC_FDS_MAX 4u
#define TTRPC_INFLIGHT_MAX 4096u /* of one connection */

enum ttrpc_code { /* google.rpc.Code */
	TTRPC_OK = 0,
	TTRPC_CANCELLED = 1,
	TTRPC_UNKNOWN = 2,
	TTRPC_INVALID_ARGUMENT = 3,
	TTRPC_DEADLINE_EXCEEDED = 4,
	TTRPC_NOT_FOUND = 5,
	TTRPC_ALREADY_EXISTS = 6,
	TTRPC_PERMISSION_DENIED = 7,
	TTRPC_RESOURCE_EXHAUSTED = 8,
	TTRPC_FAILED_PRECONDITION = 9,
	TTRPC_UNIMPLEMENTED = 12,
	TTRPC_INTERNAL = 13,
	TTRPC_UNAVAILABLE = 14,
};

/* Server. --------------------------------------------------------------- */

struct ttrpc_server;
struct ttrpc_request; /* one call; answered exactly once, then gone */

struct ttrpc_method {
	const char *service; /* "grpc.AgentService" */
	const char *name;    /* "CreateContainer" */
	const ProtobufCMessageDescriptor *request;
	/*
	 * On the loop. message is freed after the handler returns. The
	 * handler answers with ttrpc_reply or ttrpc_fail, now or later; a
	 * request whose deadline has passed by then was answered already.
	 */
	void (*handle)(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg);
};

struct ttrpc_server_config {
	const struct ttrpc_method *methods; /* static; ends with a zero row */
	void *arg;			    /* handed to each handler */
	/* Asked before each handler: NULL, or why the call is refused
	 * (PERMISSION_DENIED). May be NULL. */
	const char *(*refuse)(void *arg, const struct ttrpc_method *method,
			      const ProtobufCMessage *message);
	bool accept_fds; /* SCM_RIGHTS on Unix sockets */
	unsigned connections_max;
	/* A connection ended, or a deadline passed: ttrpc_request_dropped
	 * tells of which requests. May be NULL. */
	void (*dropped)(void *arg);
};

/* Takes listen_fd (listening stream socket). NULL: err. */
struct ttrpc_server *ttrpc_server_new(struct evloop *loop, int listen_fd,
				      const struct ttrpc_server_config *config,
				      struct err *err);
/* A server without a listening socket; connections by ttrpc_server_adopt. */
int ttrpc_server_adopt(struct ttrpc_server *server, int fd) MUST_CHECK;
/* Open connections. */
unsigned ttrpc_server_connections(const struct ttrpc_server *server);
void ttrpc_server_free(struct ttrpc_server *server);

/* Both free the request. reply NULL: an empty message. */
void ttrpc_reply(struct ttrpc_request *req, const ProtobufCMessage *reply);
void ttrpc_fail(struct ttrpc_request *req, enum ttrpc_code code,
		const char *fmt, ...) PRINTF(3, 4);
/* Descriptor i that came with the request; -1: none. The caller owns it. */
int ttrpc_request_take_fd(struct ttrpc_request *req, unsigned i);
/* Nobody waits for the answer any more, which will be dropped silently: the
 * connection ended, or the deadline passed and the peer was told so. */
bool ttrpc_request_dropped(const struct ttrpc_request *req);
/* The code a failed set-up call maps to (ENOENT: NOT_FOUND, ...). */
enum ttrpc_code ttrpc_code_of_errno(int code);

/* Client. --------------------------------------------------------------- */

struct ttrpc_client;

/*
 * One call, embedded in its owner, who keeps it until done() ran. done() runs
 * on the loop exactly once: also when the connection ends, the deadline
 * passes or the client is freed. reply is valid during the call, NULL when
 * code is not TTRPC_OK; text is one line, control characters removed. Only the
 * freeing of the client gives TTRPC_CANCELLED, whatever a peer answers.
 */
struct ttrpc_call {
	struct ttrpc_call *next;
	struct ttrpc_client *client; /* NULL: not under way */
	uint32_t stream;
	uint64_t deadline_ns;
	const ProtobufCMessageDescriptor *reply_type;
	void (*done)(struct ttrpc_call *call, enum ttrpc_code code,
		     const char *text, const ProtobufCMessage *reply);
};

/* Takes fd (connected stream socket). lost: once, when the connection ended
 * by itself; calls have been answered UNAVAILABLE by then. May be NULL. */
struct ttrpc_client *ttrpc_client_new(struct evloop *loop, int fd,
				      void (*lost)(void *arg), void *arg,
				      struct err *err);
void ttrpc_client_free(struct ttrpc_client *client);
/* Whether its connection ended, of which lost() tells behind the calls. */
bool ttrpc_client_lost(const struct ttrpc_client *client);
/* timeout_ms 0: no limit. reply NULL: the payload is ignored. fds are
 * borrowed, at most TTRPC_FDS_MAX. Failures come by done(), later. */
void ttrpc_call_start(struct ttrpc_client *client, struct ttrpc_call *call,
		      const char *service, const char *method,
		      const ProtobufCMessage *request,
		      const ProtobufCMessageDescriptor *reply_type,
		      uint64_t timeout_ms, const int *fds, unsigned nfds);

/* Forgets a call that is under way: done() does not run, a late reply is
 * dropped. No effect on a call that is done, or zeroed. */
void ttrpc_call_cancel(struct ttrpc_call *call);

/*
 * The same, waiting, without a loop, for the command line and tests. fd is
 * borrowed and used by nobody else. *reply is freed by the caller with
 * protobuf_c_message_free_unpacked(.., NULL). 0, or -errno with err; the
 * ttrpc code of a refused call is in *code (when not NULL).
 */
int ttrpc_call_wait(int fd, const char *service, const char *method,
		    const ProtobufCMessage *request,
		    const ProtobufCMessageDescriptor *reply_type,
		    ProtobufCMessage **reply, int timeout_ms, const int *fds,
		    unsigned nfds, enum ttrpc_code *code,
		    struct err *err) MUST_CHECK;

#endif

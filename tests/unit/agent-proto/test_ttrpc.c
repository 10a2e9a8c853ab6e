/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.h"
#include "agent-proto/ttrpc.pb-c.h"
#include "agent-proto/ttrpc_frame.h"
#include "base/cleanup.h"
#include "base/file.h"

struct fixture {
	struct evloop *loop;
	struct ttrpc_server *server;
	struct ttrpc_client *client;
	int raw; /* a second connection, spoken to by hand */
	struct ttrpc_request *held;
	unsigned dropped;
	int passed_fd;
	bool lost;
};

static void handle_write(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg)
{
	const Agent__WriteStreamRequest *in = (const void *)message;
	Agent__ReadStreamResponse out = AGENT__READ_STREAM_RESPONSE__INIT;

	out.data = in->data;
	ttrpc_reply(req, &out.base);
}

static void handle_hold(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	struct fixture *f = arg;

	assert_null(f->held);
	f->held = req;
}

static void handle_fd(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	struct fixture *f = arg;

	f->passed_fd = ttrpc_request_take_fd(req, 0);
	assert_int_equal(-1, ttrpc_request_take_fd(req, 1));
	ttrpc_reply(req, NULL);
}

static void handle_refuse(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	ttrpc_fail(req, TTRPC_NOT_FOUND, "no such container\n\x1b[31m");
}

static const struct ttrpc_method methods[] = {
	{"t", "Echo", &agent__write_stream_request__descriptor, handle_write},
	{"t", "Hold", &agent__empty__descriptor, handle_hold},
	{"t", "Fd", &agent__empty__descriptor, handle_fd},
	{"t", "Refuse", &agent__empty__descriptor, handle_refuse},
	{NULL, NULL, NULL, NULL},
};

static void on_dropped(void *arg)
{
	struct fixture *f = arg;

	f->dropped++;
}

/* In place of the system's. */
static unsigned timers_set;

int timerfd_settime(int fd, int flags, const struct itimerspec *new,
		    struct itimerspec *old)
{
	timers_set++;
	return (int)syscall(SYS_timerfd_settime, fd, flags, new, old);
}

static void on_lost(void *arg)
{
	struct fixture *f = arg;

	f->lost = true;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ttrpc_server_config config = {
		.methods = methods,
		.arg = f,
		.accept_fds = true,
		.connections_max = 2,
		.dropped = on_dropped,
	};
	struct err err;
	int pair[2], raw[2];

	f->passed_fd = -1;
	f->loop = evloop_new();
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, raw));
	f->server = ttrpc_server_new(f->loop, -1, &config, &err);
	assert_non_null(f->server);
	assert_int_equal(0, ttrpc_server_adopt(f->server, pair[0]));
	assert_int_equal(0, ttrpc_server_adopt(f->server, raw[0]));
	f->client = ttrpc_client_new(f->loop, pair[1], on_lost, f, &err);
	assert_non_null(f->client);
	f->raw = raw[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ttrpc_client_free(f->client);
	ttrpc_server_free(f->server);
	if (f->held)
		ttrpc_reply(f->held, NULL);
	if (f->raw >= 0)
		close(f->raw);
	if (f->passed_fd >= 0)
		close(f->passed_fd);
	evloop_free(f->loop);
	free(f);
	return 0;
}

struct call {
	struct ttrpc_call call;
	unsigned done;
	enum ttrpc_code code;
	char text[128];
	size_t len;
	uint8_t first, last;
};

static void call_done(struct ttrpc_call *base, enum ttrpc_code code,
		      const char *text, const ProtobufCMessage *reply)
{
	struct call *c = container_of(base, struct call, call);
	const Agent__ReadStreamResponse *r = (const void *)reply;

	c->done++;
	c->code = code;
	snprintf(c->text, sizeof(c->text), "%s", text);
	if (r &&
	    r->base.descriptor == &agent__read_stream_response__descriptor &&
	    r->data.len) {
		c->len = r->data.len;
		c->first = r->data.data[0];
		c->last = r->data.data[r->data.len - 1];
	}
}

static void start(struct fixture *f, struct call *c, const char *method,
		  uint64_t timeout_ms)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;

	memset(c, 0, sizeof(*c));
	c->call.done = call_done;
	ttrpc_call_start(f->client, &c->call, "t", method, &empty.base, NULL,
			 timeout_ms, NULL, 0);
}

static void run_until(struct fixture *f, const struct call *c)
{
	for (int i = 0; i < 1000 && !c->done; i++)
		evloop_once(f->loop, 1000);
	assert_int_equal(1, c->done);
}

static void echo_bytes(struct fixture *f, struct call *c, size_t len)
{
	Agent__WriteStreamRequest in = AGENT__WRITE_STREAM_REQUEST__INIT;

	*c = (struct call){.call.done = call_done};
	in.data.len = len;
	in.data.data = malloc(len);
	memset(in.data.data, 'x', len);
	in.data.data[0] = 'a';
	in.data.data[len - 1] = 'z';
	ttrpc_call_start(f->client, &c->call, "t", "Echo", &in.base,
			 &agent__read_stream_response__descriptor, 0, NULL, 0);
	run_until(f, c);
	free(in.data.data);
}

static void test_echo_large(void **state)
{
	size_t len = (1u << 20) - 4096;
	struct call c;

	echo_bytes(*state, &c, len);
	assert_int_equal(TTRPC_OK, c.code);
	assert_int_equal(len, c.len);
	assert_int_equal('a', c.first);
	assert_int_equal('z', c.last);
}

/* A request may be as long as the protocol allows, a reply not. */
static void test_reply_too_large(void **state)
{
	struct call c;

	echo_bytes(*state, &c, TTRPC_PAYLOAD_MAX - 4096);
	assert_int_equal(TTRPC_UNAVAILABLE, c.code);
}

static void test_replies_out_of_order(void **state)
{
	struct fixture *f = *state;
	struct call slow, fast;

	start(f, &slow, "Hold", 0);
	start(f, &fast, "Refuse", 0);
	run_until(f, &fast);
	assert_int_equal(TTRPC_NOT_FOUND, fast.code);
	assert_string_equal("no such container  [31m", fast.text);
	assert_int_equal(0, slow.done);
	ttrpc_reply(f->held, NULL);
	f->held = NULL;
	run_until(f, &slow);
	assert_int_equal(TTRPC_OK, slow.code);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	struct call c;

	start(f, &c, "Hold", 20);
	run_until(f, &c);
	assert_int_equal(TTRPC_DEADLINE_EXCEEDED, c.code);
	/* The request may come even later. */
	while (!f->held)
		evloop_once(f->loop, 1000);
	/* The late reply is dropped; the connection lives on. */
	ttrpc_reply(f->held, NULL);
	f->held = NULL;
	start(f, &c, "Refuse", 0);
	run_until(f, &c);
	assert_int_equal(TTRPC_NOT_FOUND, c.code);
}

static void test_unknown_method(void **state)
{
	struct fixture *f = *state;
	struct call c;

	start(f, &c, "Nothing", 0);
	run_until(f, &c);
	assert_int_equal(TTRPC_UNIMPLEMENTED, c.code);
	assert_string_equal("method /t/Nothing", c.text);
}

static void test_lost_connection(void **state)
{
	struct fixture *f = *state;
	struct call c;

	start(f, &c, "Hold", 0);
	while (!f->held)
		evloop_once(f->loop, 1000);
	ttrpc_server_free(f->server);
	f->server = NULL;
	run_until(f, &c);
	assert_int_equal(TTRPC_UNAVAILABLE, c.code);
	assert_true(f->lost);
	/* Calls after the loss fail too, by done(). */
	start(f, &c, "Hold", 0);
	assert_int_equal(0, c.done);
	run_until(f, &c);
	assert_int_equal(TTRPC_UNAVAILABLE, c.code);
}

static void test_reply_after_disconnect(void **state)
{
	struct fixture *f = *state;
	struct call c;

	start(f, &c, "Hold", 0);
	while (!f->held)
		evloop_once(f->loop, 1000);
	ttrpc_client_free(f->client);
	f->client = NULL;
	assert_int_equal(TTRPC_CANCELLED, c.code);
	while (!f->dropped)
		evloop_once(f->loop, 1000);
	ttrpc_reply(f->held, NULL);
	f->held = NULL;
}

/* Each of these bytes ends the raw connection and nothing else. */
static void hostile(struct fixture *f, const void *bytes, size_t len)
{
	struct call c;
	char byte;

	assert_int_equal(0, write_full(f->raw, bytes, len));
	while (!f->dropped)
		evloop_once(f->loop, 1000);
	assert_int_equal(0, read(f->raw, &byte, 1));
	start(f, &c, "Refuse", 0);
	run_until(f, &c);
	assert_int_equal(TTRPC_NOT_FOUND, c.code);
}

static void test_too_long(void **state)
{
	hostile(*state, "\x7f\xff\xff\xff\0\0\0\1\1\0", 10);
}

static void test_even_stream(void **state)
{
	hostile(*state, "\0\0\0\0\0\0\0\2\1\0", 10);
}

static void test_unknown_type(void **state)
{
	hostile(*state, "\0\0\0\0\0\0\0\1\7\0", 10);
}

static void test_not_protobuf(void **state)
{
	hostile(*state, "\0\0\0\3\0\0\0\1\1\0\xff\xff\xff", 13);
}

static void test_stream_in_use(void **state)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;
	uint8_t twice[256];
	size_t len;
	uint8_t *frame =
		ttrpc_request_frame(5, "t", "Hold", &empty.base, 0, &len);

	memcpy(twice, frame, len);
	memcpy(twice + len, frame, len);
	free(frame);
	hostile(*state, twice, 2 * len);
}

/* The server's deadlines. -------------------------------------------------- */

static void ask(struct fixture *f, uint32_t stream, const char *method,
		int64_t timeout_ns)
{
	Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
	uint8_t *frame;
	size_t len;

	envelope.service = pb_str("t");
	envelope.method = pb_str(method);
	envelope.timeout_nano = timeout_ns;
	frame = ttrpc_frame_new(stream, TTRPC_REQUEST, &envelope.base, &len);
	assert_int_equal(0, write_full(f->raw, frame, len));
	free(frame);
}

/* What comes next, of that stream. */
static enum ttrpc_code answer_of(struct fixture *f, uint32_t stream)
{
	uint8_t head[TTRPC_HEADER_LEN], payload[256];
	struct ttrpc_header header;
	enum ttrpc_code code;
	ProtobufCMessage *reply;
	char text[64];

	while (recv(f->raw, head, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		evloop_once(f->loop, 1000);
	assert_int_equal(0, read_full(f->raw, head, sizeof(head)));
	assert_int_equal(0, ttrpc_header_get(head, &header));
	assert_int_equal(stream, header.stream);
	assert_true(header.length < sizeof(payload));
	assert_int_equal(0, read_full(f->raw, payload, header.length));
	assert_int_equal(0,
			 ttrpc_response_get(payload, header.length, NULL, &code,
					    text, sizeof(text), &reply));
	return code;
}

static void wait_held(struct fixture *f)
{
	while (!f->held)
		evloop_once(f->loop, 1000);
}

static void test_server_deadline(void **state)
{
	struct fixture *f = *state;

	ask(f, 1, "Hold", 20000000);
	wait_held(f);
	assert_false(ttrpc_request_dropped(f->held));
	assert_int_equal(TTRPC_DEADLINE_EXCEEDED, answer_of(f, 1));
	assert_int_equal(1, f->dropped);
	assert_true(ttrpc_request_dropped(f->held));
	/* It has been answered: what its handler says goes nowhere. */
	ttrpc_reply(f->held, NULL);
	f->held = NULL;
	ask(f, 3, "Hold", 0);
	wait_held(f);
	assert_false(ttrpc_request_dropped(f->held));
	ttrpc_fail(f->held, TTRPC_INTERNAL, "no");
	f->held = NULL;
	assert_int_equal(TTRPC_INTERNAL, answer_of(f, 3));
}

static void test_answer_in_time(void **state)
{
	struct fixture *f = *state;
	struct ttrpc_request *first;

	/* A nearer deadline than the one there is, and the other way. */
	ask(f, 1, "Hold", 60 * 1000000000LL);
	wait_held(f);
	first = steal_ptr(&f->held);
	ask(f, 3, "Hold", 1);
	wait_held(f);
	assert_int_equal(TTRPC_DEADLINE_EXCEEDED, answer_of(f, 3));
	ttrpc_reply(steal_ptr(&f->held), NULL);
	assert_false(ttrpc_request_dropped(first));
	ttrpc_reply(first, NULL);
	assert_int_equal(TTRPC_OK, answer_of(f, 1));
	ask(f, 5, "Hold", 20000000);
	wait_held(f);
	assert_int_equal(TTRPC_DEADLINE_EXCEEDED, answer_of(f, 5));
	assert_int_equal(2, f->dropped);
}

/* INT64_MAX is 292 years. */
static void test_odd_deadlines(void **state)
{
	static const int64_t over[] = {-1, -1000000000, INT64_MIN};
	struct fixture *f = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(over); i++) {
		ask(f, 2 * i + 1, "Hold", over[i]);
		assert_int_equal(TTRPC_DEADLINE_EXCEEDED,
				 answer_of(f, 2 * i + 1));
		assert_null(f->held);
	}
	ask(f, 7, "Hold", INT64_MAX);
	wait_held(f);
	evloop_once(f->loop, 20);
	assert_false(ttrpc_request_dropped(f->held));
	ttrpc_reply(steal_ptr(&f->held), NULL);
	assert_int_equal(TTRPC_OK, answer_of(f, 7));
	assert_int_equal(0, f->dropped);
}

static void test_no_deadline_no_timer(void **state)
{
	struct fixture *f = *state;

	timers_set = 0;
	ask(f, 1, "Hold", 0);
	wait_held(f);
	ttrpc_reply(steal_ptr(&f->held), NULL);
	assert_int_equal(TTRPC_OK, answer_of(f, 1));
	/* Nor for what is answered at once. */
	ask(f, 3, "Refuse", 1000000);
	assert_int_equal(TTRPC_NOT_FOUND, answer_of(f, 3));
	assert_int_equal(0, timers_set);
	ask(f, 5, "Hold", 60 * 1000000000LL);
	wait_held(f);
	assert_int_equal(1, timers_set);
	ttrpc_reply(steal_ptr(&f->held), NULL);
	assert_int_equal(TTRPC_OK, answer_of(f, 5));
	ask(f, 7, "Hold", 61 * 1000000000LL);
	wait_held(f);
	assert_int_equal(1, timers_set);
}

/* The connection goes first. */
static void test_deadline_of_nobody(void **state)
{
	struct fixture *f = *state;

	ask(f, 1, "Hold", 20000000);
	wait_held(f);
	close(f->raw);
	f->raw = -1;
	while (!f->dropped)
		evloop_once(f->loop, 1000);
	assert_true(ttrpc_request_dropped(f->held));
	evloop_once(f->loop, 40);
	assert_int_equal(1, f->dropped);
}

struct waiter {
	int fd;
	int pass;
	int ret;
	enum ttrpc_code code;
};

static void *wait_thread(void *arg)
{
	struct waiter *w = arg;
	Agent__Empty empty = AGENT__EMPTY__INIT;
	struct err err;

	w->ret = ttrpc_call_wait(w->fd, "t", "Fd", &empty.base, NULL, NULL,
				 5000, &w->pass, 1, &w->code, &err);
	return NULL;
}

static void test_descriptor(void **state)
{
	struct fixture *f = *state;
	struct waiter w = {.fd = f->raw, .pass = open("/dev/null", O_RDONLY)};
	pthread_t thread;

	pthread_create(&thread, NULL, wait_thread, &w);
	while (f->passed_fd < 0)
		evloop_once(f->loop, 1000);
	pthread_join(thread, NULL);
	assert_int_equal(0, w.ret);
	assert_int_equal(TTRPC_OK, w.code);
	assert_true(fcntl(f->passed_fd, F_GETFD) & FD_CLOEXEC);
	close(w.pass);
}

static void test_connection_limit(void **state)
{
	struct fixture *f = *state;
	int pair[2];

	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	assert_int_equal(-EMFILE, ttrpc_server_adopt(f->server, pair[0]));
	close(pair[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_echo_large),
		T(test_reply_too_large),
		T(test_replies_out_of_order),
		T(test_deadline),
		T(test_unknown_method),
		T(test_lost_connection),
		T(test_reply_after_disconnect),
		T(test_too_long),
		T(test_even_stream),
		T(test_unknown_type),
		T(test_not_protobuf),
		T(test_stream_in_use),
		T(test_server_deadline),
		T(test_answer_in_time),
		T(test_odd_deadlines),
		T(test_no_deadline_no_timer),
		T(test_deadline_of_nobody),
		T(test_descriptor),
		T(test_connection_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

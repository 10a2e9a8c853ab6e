/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent-proto/ttrpc_frame.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdpass.h"
#include "base/file.h"

/* read_full with a deadline (-1: none). */
static int read_until(int fd, void *buf, size_t len, int64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t done = 0;

	while (done < len) {
		int64_t left = deadline < 0 ? -1 : deadline - monotonic_ms();
		ssize_t n;

		if (deadline >= 0 && left <= 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)MIN(left, (int64_t)INT32_MAX)) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		n = recv(fd, (uint8_t *)buf + done, len - done, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static int read_response(int fd, uint32_t stream, uint8_t **payload,
			 size_t *len, int64_t deadline)
{
	uint8_t head[TTRPC_HEADER_LEN];
	struct ttrpc_header header;
	int ret = read_until(fd, head, sizeof(head), deadline);

	if (ret)
		return ret;
	ret = ttrpc_header_get(head, &header);
	if (ret)
		return ret;
	if (header.type != TTRPC_RESPONSE || header.stream != stream)
		return -EPROTO;
	*payload = malloc(header.length + 1u);
	if (!*payload)
		return -ENOMEM;
	*len = header.length;
	return read_until(fd, *payload, header.length, deadline);
}

static int send_request(int fd, const uint8_t *frame, size_t len,
			const int *fds, unsigned nfds)
{
	ssize_t n = fd_send(fd, frame, len, fds, nfds, MSG_NOSIGNAL);

	if (n < 0)
		return (int)n;
	return write_full(fd, frame + n, len - (size_t)n);
}

int ttrpc_call_wait(int fd, const char *service, const char *method,
		    const ProtobufCMessage *request,
		    const ProtobufCMessageDescriptor *reply_type,
		    ProtobufCMessage **reply, int timeout_ms, const int *fds,
		    unsigned nfds, enum ttrpc_code *code, struct err *err)
{
	/* Odd and never reused on this connection, whoever calls. */
	static _Thread_local uint32_t last_stream = 1;
	uint32_t stream = last_stream += 2;
	int64_t deadline = timeout_ms > 0 ? monotonic_ms() + timeout_ms : -1;
	AUTO_FREE uint8_t *frame = NULL;
	AUTO_FREE uint8_t *payload = NULL;
	ProtobufCMessage *unpacked = NULL;
	enum ttrpc_code answered = TTRPC_UNAVAILABLE;
	char text[ERR_TEXT_MAX];
	size_t len = 0;
	int ret;

	frame = ttrpc_request_frame(stream, service, method, request,
				    timeout_ms > 0 ? (uint64_t)timeout_ms : 0,
				    &len);
	ret = frame ? send_request(fd, frame, len, fds, nfds) : -ENOMEM;
	if (!ret)
		ret = read_response(fd, stream, &payload, &len, deadline);
	if (!ret)
		ret = ttrpc_response_get(payload, len, reply_type, &answered,
					 text, sizeof(text), &unpacked);
	if (code)
		*code = answered;
	if (ret < 0)
		return err_ret(err, ret, "%s", method);
	if (answered != TTRPC_OK)
		return err_set(err, EREMOTEIO, "%s", text);
	if (reply)
		*reply = unpacked;
	else if (unpacked)
		protobuf_c_message_free_unpacked(unpacked, NULL);
	return 0;
}

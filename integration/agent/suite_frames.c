/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about as long as a frame may be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent-proto/ttrpc_frame.h"
#include "base/file.h"
#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define FILE_PATH "/run/kata-containers/shared/containers/frame"
#define WAIT_S 20

#define LONGEST (4u << 20)
#define MEMORY_MAX (2u << 20) /* the agent's */

static uint8_t content[LONGEST];

static uint8_t *frame_of(uint32_t stream, size_t data, size_t *len)
{
	Agent__CopyFileRequest req = AGENT__COPY_FILE_REQUEST__INIT;

	req.path = (char *)(uintptr_t)FILE_PATH;
	req.file_mode = S_IFREG | 0600;
	req.file_size = (int64_t)data;
	req.data.data = content;
	req.data.len = data;
	return ttrpc_request_frame(stream, "grpc.AgentService", "CopyFile",
				   &req.base, 0, len);
}

/* As long as can be; *data: of the file in it. */
static uint8_t *longest(size_t *len, size_t *data)
{
	uint8_t *frame = frame_of(1, sizeof(content) / 2, len);
	size_t around = *len - TTRPC_HEADER_LEN - sizeof(content) / 2;

	free(frame);
	*data = sizeof(content) - around;
	return frame_of(1, *data, len);
}

/* Whether stream 1 is answered, and well. */
static bool answered(int fd)
{
	uint8_t head[TTRPC_HEADER_LEN], payload[4096];
	struct ttrpc_header header;
	ProtobufCMessage *none = NULL;
	enum ttrpc_code code = TTRPC_UNKNOWN;
	char text[256] = "";

	return read_full(fd, head, sizeof(head)) == 0 &&
	       ttrpc_header_get(head, &header) == 0 && header.stream == 1 &&
	       header.length <= sizeof(payload) &&
	       read_full(fd, payload, header.length) == 0 &&
	       ttrpc_response_get(payload, header.length, NULL, &code, text,
				  sizeof(text), &none) == 0 &&
	       code == TTRPC_OK;
}

static int open_impatient(void)
{
	const struct timeval limit = {.tv_sec = WAIT_S};
	int fd = client_open();

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* The end, and not merely silence. */
static bool ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static bool is_file(size_t size)
{
	struct stat st;

	return stat(FILE_PATH, &st) == 0 && (size_t)st.st_size == size;
}

static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static bool takes(const uint8_t *frame, size_t len)
{
	int fd = open_impatient();
	bool taken = send_all(fd, frame, len) && answered(fd);

	close(fd);
	return taken;
}

void test_frames_suite(void)
{
	/* A field that nobody knows: a message all the same. */
	static const uint8_t unknown[] = {0x78, 0};
	size_t len = 0, data = 0;
	uint8_t *frame, *longer;
	unsigned long bytes;
	int fd;

	memset(content, 'x', sizeof(content));
	frame = longest(&len, &data);
	longer = frame ? malloc(len + sizeof(unknown)) : NULL;
	if (!longer)
		abort();
	memcpy(longer, frame, len);
	memcpy(longer + len, unknown, sizeof(unknown));
	longer[3] = sizeof(unknown); /* the last of the length's bytes, 0 */
	check(len == TTRPC_HEADER_LEN + LONGEST, "a frame of 4 MiB");
	check(takes(frame, len) && is_file(data),
	      "is taken, with the %zu bytes of a file", data);
	check(takes(frame, len) && takes(frame, len), "and again");
	fd = open_impatient();
	check(!send_all(fd, longer, len + sizeof(unknown)) || ended(fd),
	      "a longer one ends the connection");
	close(fd);
	bytes = metric("kata_agent_total_rss");
	check(bytes > 0 && bytes <= MEMORY_MAX,
	      "but no other one; the agent has %lu bytes", bytes);
	check(unlink(FILE_PATH) == 0, "remove");
	free(frame);
	free(longer);
}

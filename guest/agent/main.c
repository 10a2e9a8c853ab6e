/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre-agent: PID 1 of a guest, or, for tests without a virtual machine, an
 * ordinary process on a Unix socket (KATA_AGENT_SERVER_ADDR=unix://PATH).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/boot.h"
#include "guest/agent/container.h"
#include "guest/agent/rpc.h"

#define AGENT_PORT 1024
#define CONNECTIONS_MAX 16
#define ADDRESS_MAX 160

static struct agent agent;
static struct timespec began; /* CLOCK_BOOTTIME at entry */

static int listen_vsock(struct err *err)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_PORT,
		.svm_cid = VMADDR_CID_ANY,
	};
	AUTO_FD int fd =
		socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "socket AF_VSOCK");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, CONNECTIONS_MAX) < 0)
		return err_sys(err, "vsock port %d", AGENT_PORT);
	return steal_fd(&fd);
}

/* "@name" is in the abstract name space. */
static int listen_unix(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	AUTO_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "socket AF_UNIX");
	if (len == 0 || len >= sizeof(addr.sun_path))
		return err_set(err, EINVAL, "%.64s: not a usable path", path);
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	else
		size++;
	if (bind(fd, (struct sockaddr *)&addr, size) < 0 ||
	    listen(fd, CONNECTIONS_MAX) < 0)
		return err_sys(err, "%s", path);
	return steal_fd(&fd);
}

static int listen_at(const char *address, struct err *err)
{
	if (strncmp(address, "unix://", 7) == 0)
		return listen_unix(address + 7, err);
	if (!*address || strcmp(address, "vsock://-1:1024") == 0)
		return listen_vsock(err);
	return err_set(err, EINVAL, "server address %.128s: not unix://PATH",
		       address);
}

static void read_options(char address[ADDRESS_MAX])
{
	const char *env = getenv("KATA_AGENT_SERVER_ADDR");
	AUTO_FREE char *cmdline = NULL;
	char level[16];

	if (env)
		(void)snprintf(address, ADDRESS_MAX, "%s", env);
	if (file_read(AT_FDCWD, "/proc/cmdline", 1u << 16, &cmdline, NULL) < 0)
		return;
	if (!env)
		(void)boot_option(cmdline, "agent.server_addr", address,
				  ADDRESS_MAX);
	if (boot_option(cmdline, "agent.log", level, sizeof(level)) &&
	    strcmp(level, "debug") == 0)
		log_open(STDERR_FILENO, LOG_TEXT, LOG_DEBUG, "nacre-agent");
}

static void disconnected(void *arg, uint64_t connection)
{
	containers_drop(arg, connection);
	parked_drop(arg, connection);
	sandbox_drop(arg, connection);
}

static int serve(struct err *err)
{
	const struct ttrpc_server_config config = {
		.methods = rpc_methods,
		.arg = &agent,
		.refuse = rpc_refuse,
		.connections_max = CONNECTIONS_MAX,
		.disconnected = disconnected,
	};
	char address[ADDRESS_MAX] = "";
	struct timespec up;
	int fd, ret;

	read_options(address);
	agent.loop = evloop_new();
	if (!agent.loop)
		return err_sys(err, "event loop");
	ret = reaper_init(&agent);
	if (!ret)
		ret = watch_init(&agent.watch, agent.loop);
	if (!ret)
		ret = sandbox_init(&agent);
	if (ret < 0)
		return err_ret(err, ret, "set-up");
	fd = listen_at(address, err);
	if (fd < 0)
		return fd;
	agent.server = ttrpc_server_new(agent.loop, fd, &config, err);
	if (!agent.server)
		return -err->code;
	clock_gettime(CLOCK_BOOTTIME, &up);
	log_info("%s ready, up %lld.%03ld s, %lld us of it the agent's",
		 NACRE_VERSION, (long long)up.tv_sec, up.tv_nsec / 1000000,
		 (up.tv_sec - began.tv_sec) * 1000000ll +
			 (up.tv_nsec - began.tv_nsec) / 1000);
	ret = evloop_run(agent.loop);
	return ret < 0 ? err_ret(err, ret, "event loop") : 0;
}

int main(int argc, char **argv)
{
	const char *address = getenv("KATA_AGENT_SERVER_ADDR");
	struct err err = {0};
	int ret = 0;

	clock_gettime(CLOCK_BOOTTIME, &began);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("nacre-agent " NACRE_VERSION);
		return 0;
	}
	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, "nacre-agent");
	/* In a pid namespace of a test PID 1 is no machine's. */
	agent.init = getpid() == 1 && !address;
	if (!agent.init && !address) {
		log_error("not PID 1, and no KATA_AGENT_SERVER_ADDR");
		return 1;
	}
	if (agent.init) {
		boot_catch_faults();
		ret = boot_guest(&err);
	}
	if (!ret)
		ret = serve(&err);
	if (ret < 0)
		log_error("%s", err.text);
	if (agent.init)
		boot_power_off();
	return ret < 0;
}

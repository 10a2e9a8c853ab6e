/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre-agent: PID 1 of a guest, or, for tests without a virtual machine, an
 * ordinary process on a Unix socket (KATA_AGENT_SERVER_ADDR=unix://PATH).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/agent.h"
#include "guest/agent/beside_call.h"
#include "guest/agent/boot.h"
#include "guest/agent/container.h"
#include "guest/agent/debug_console.h"
#include "guest/agent/file_events.h"
#include "guest/agent/listen.h"
#include "guest/agent/log_port.h"
#include "guest/agent/rpc.h"
#include "guest/agent/stale_mounts.h"
#include "guest/agent/stdio_port.h"

#define AGENT_PORT 1024
#define ADDRESS_MAX 160

static struct agent agent;
/* At entry. The first process was the kernel's before. */
static int64_t began_us, began_cpu_us;

struct options {
	char address[ADDRESS_MAX];
	unsigned log_port, console_port, stdio_port;
	bool debug_console;
};

static void read_port(const char *cmdline, const char *name, unsigned *port)
{
	char text[16], *end;
	unsigned long value;

	if (!boot_option(cmdline, name, text, sizeof(text)))
		return;
	value = strtoul(text, &end, 10);
	if (end == text || *end || value == 0 || value >= UINT32_MAX)
		log_warn("%s=%s: not a port", name, text);
	else
		*port = (unsigned)value;
}

static void read_options(struct options *o)
{
	const char *env = getenv("KATA_AGENT_SERVER_ADDR");
	AUTO_FREE char *cmdline = NULL;
	char level[16];

	if (env)
		(void)snprintf(o->address, ADDRESS_MAX, "%s", env);
	if (file_read(AT_FDCWD, "/proc/cmdline", 1u << 16, &cmdline, NULL) < 0)
		return;
	if (!env)
		(void)boot_option(cmdline, "agent.server_addr", o->address,
				  ADDRESS_MAX);
	read_port(cmdline, "agent.log_vport", &o->log_port);
	read_port(cmdline, "agent.debug_console_vport", &o->console_port);
	read_port(cmdline, "agent.passfd_listener_port", &o->stdio_port);
	/* The command line of the machine speaks to its first process. */
	o->debug_console =
		agent.init && boot_word(cmdline, "agent.debug_console");
	if (agent.init)
		mem_agent_read_cmdline(&agent.mem, cmdline);
	if (boot_option(cmdline, "agent.log", level, sizeof(level)) &&
	    strcmp(level, "debug") == 0)
		log_open(STDERR_FILENO, LOG_TEXT, LOG_DEBUG, "nacre-agent");
}

static void dropped(void *arg)
{
	containers_drop(arg);
	parked_drop(arg);
	file_events_drop();
	stale_mounts_forget();
	beside_calls_drop();
	sandbox_drop(arg);
}

/* Without them the guest works as well. */
static void serve_aside(const struct options *o)
{
	struct err err = {0};
	int fd = listen_at(o->address, o->log_port, ".log", &err);

	if (fd < 0 || log_port_serve(agent.loop, fd) < 0)
		log_warn("log port: %s", err.code ? err.text : "epoll");
	err.code = 0;
	fd = listen_at(o->address, o->stdio_port, ".stdio", &err);
	if (fd < 0 || stdio_port_serve(agent.loop, fd) < 0)
		log_warn("stdio port: %s", err.code ? err.text : "epoll");
	if (!o->debug_console)
		return;
	fd = listen_at(o->address, o->console_port, ".console", &err);
	if (fd < 0 || debug_console_serve(agent.loop, fd) < 0)
		log_warn("debug console: %s", err.code ? err.text : "epoll");
}

static int64_t microseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void say_ready(void)
{
	int64_t up = microseconds(CLOCK_BOOTTIME);

	log_info("%s ready, up %" PRId64 ".%03" PRId64 " s, %" PRId64
		 " us of it the agent's, %" PRId64 " us of a processor",
		 NACRE_VERSION, up / 1000000, up / 1000 % 1000, up - began_us,
		 microseconds(CLOCK_PROCESS_CPUTIME_ID) - began_cpu_us);
}

static int serve(struct err *err)
{
	const struct ttrpc_server_config config = {
		.methods = rpc_methods,
		.arg = &agent,
		.refuse = rpc_refuse,
		.connections_max = LISTEN_CONNECTIONS,
		.dropped = dropped,
	};
	struct options options = {
		.log_port = LOG_PORT,
		.console_port = DEBUG_CONSOLE_PORT,
		.stdio_port = STDIO_PORT,
	};
	int fd, ret;

	agent.loop = evloop_new();
	if (!agent.loop)
		return err_sys(err, "event loop");
	ret = mem_agent_init(&agent.mem, agent.loop);
	if (!ret)
		ret = reaper_init(&agent);
	if (!ret)
		ret = watch_init(&agent.watch, agent.loop);
	if (!ret)
		ret = sandbox_init(&agent);
	if (ret < 0)
		return err_ret(err, ret, "set-up");
	read_options(&options);
	fd = listen_at(options.address, AGENT_PORT, "", err);
	if (fd < 0)
		return fd;
	serve_aside(&options);
	agent.server = ttrpc_server_new(agent.loop, fd, &config, err);
	if (!agent.server)
		return -err->code;
	say_ready();
	ret = evloop_run(agent.loop);
	return ret < 0 ? err_ret(err, ret, "event loop") : 0;
}

int main(int argc, char **argv)
{
	const char *address = getenv("KATA_AGENT_SERVER_ADDR");
	struct err err = {0};
	int ret = 0;

	began_us = microseconds(CLOCK_BOOTTIME);
	began_cpu_us = microseconds(CLOCK_PROCESS_CPUTIME_ID);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("nacre-agent " NACRE_VERSION);
		return 0;
	}
	/* Or, once a long message came, what is as long is kept for ever. */
	(void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, "nacre-agent");
	log_port_init();
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
		log_error("ended: %s", err.text);
	if (agent.init)
		boot_power_off();
	return ret < 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_far.h"

#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_tree.h"
#include "integration/virtiofs/hostile_watch.h"

#define AGENT_PORT 1024u

static FILE *answers_from;

static int listen_on(unsigned port)
{
	const struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 1))
		link_die("vsock");
	return fd;
}

void far_accept(void)
{
	int agent = listen_on(AGENT_PORT);
	int calls = listen_on(FAR_PORT);
	int fd;

	/* Whoever waits for an agent is answered, and then not any more: its
	 * calls again and again would be descriptors of the server. */
	if (accept4(agent, NULL, NULL, SOCK_CLOEXEC) < 0)
		link_die("the runtime");
	fd = accept4(calls, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
	    dup2(fd, STDERR_FILENO) < 0)
		link_die("the host");
	answers_from = fdopen(fd, "r");
	if (!answers_from)
		link_die("the host");
}

static unsigned long ask(const char *word)
{
	char line[FAR_LINE];

	printf("%c%s\n", FAR_ASK, word);
	fflush(stdout);
	while (fgets(line, sizeof(line), answers_from)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] == FAR_DONE)
			return strtoul(line + 1, NULL, 10);
		hostile_check(false, "%s", line + 1);
	}
	link_die("the host is gone");
}

void far_end(unsigned number)
{
	char word[32];

	snprintf(word, sizeof(word), "end %u", number);
	ask(word);
}

void tree_repair(void)
{
	ask("repair");
}

void tree_check(void)
{
	ask("check");
}

void tree_share_note(void)
{
	ask("share-note");
}

void tree_share_check(void)
{
	ask("share-check");
}

void tree_many(bool there)
{
	ask(there ? "many" : "few");
}

void tree_racer_start(void)
{
	ask("race");
}

void tree_racer_stop(void)
{
	ask("halt");
}

unsigned long tree_races(void)
{
	return ask("races");
}

unsigned watch_descriptors(void)
{
	return (unsigned)ask("descriptors");
}

unsigned long watch_memory(void)
{
	return ask("memory");
}

int watch_host(void)
{
	return (int)ask("host");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks of the guest, users by name, settings of the memory agent. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define HOOKS "/run/hooks"
#define HOOK_LOG "/run/hook.log"
#define OF_H1(status) "\"id\":\"h1\",\"status\":\"" status "\""

static void write_hook(const char *path, const char *last, mode_t mode)
{
	FILE *f = fopen(path, "w");

	if (!f ||
	    fprintf(f,
		    "#!/bin/sh\nread state\n"
		    "echo \"%s $state\" >> " HOOK_LOG "\n%s\n",
		    strrchr(path, '/') + 1, last) < 0 ||
	    fclose(f) != 0 || chmod(path, mode) < 0)
		perror(path);
}

void hooks_prepare(void)
{
	(void)!system("mkdir -p " HOOKS "/prestart " HOOKS "/poststart " HOOKS
		      "/poststop; rm -f " HOOK_LOG);
	write_hook(HOOKS "/prestart/20-b", "", 0755);
	write_hook(HOOKS "/prestart/10-a", "", 0755);
	write_hook(HOOKS "/prestart/30-text", "exit 9", 0644);
	write_hook(HOOKS "/poststart/up", "", 0755);
	write_hook(HOOKS "/poststop/down", "", 0755);
}

/* The log once it has `part`, or after twenty seconds. */
static const char *log_with(const char *part)
{
	static char text[8192];

	for (int i = 0; i < 2000; i++) {
		int fd = open(HOOK_LOG, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (strstr(text, part))
			break;
		usleep(10000);
	}
	return text;
}

void test_guest_hooks(const char *rootfs)
{
	struct test_spec s;
	const char *text, *a, *b;

	(void)unlink(HOOK_LOG);
	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create("h1", &s) == TTRPC_OK, "create with hooks of the guest");
	/* Hooks of earlier containers may still write. */
	text = log_with("20-b");
	a = strstr(text, "10-a {\"ociVersion\"");
	b = strstr(text, "20-b {\"ociVersion\"");
	check(a && b && a < b && strstr(a, "\"id\":\"h1\"") &&
		      strstr(a, "\"status\":\"creating\"") &&
		      !strstr(text, "30-text") &&
		      !strstr(text, OF_H1("running")),
	      "prestart, in order, executable files only");
	check(start("h1") == TTRPC_OK &&
		      strstr(log_with(OF_H1("running")), OF_H1("running")),
	      "poststart");
	check(remove_container("h1") == TTRPC_OK &&
		      strstr(log_with(OF_H1("stopped")), OF_H1("stopped")),
	      "poststop");
	write_hook(HOOKS "/prestart/15-fail", "echo no good; exit 3", 0755);
	check(create("h2", &s) != TTRPC_OK &&
		      strstr(call_text, "15-fail: exit status 3: no good"),
	      "a prestart hook that fails");
	check(remove_container("h2") == TTRPC_NOT_FOUND,
	      "it leaves no container");
	(void)unlink(HOOKS "/prestart/15-fail");
}

static enum ttrpc_code exec_as(Agent__StringUser *names, struct test_spec *s)
{
	Agent__ExecProcessRequest req = AGENT__EXEC_PROCESS_REQUEST__INIT;

	req.container_id = strdup("n1");
	req.exec_id = strdup("e1");
	req.process = &s->process;
	req.string_user = names;
	return call("ExecProcess", &req.base, &agent__empty__descriptor, NULL);
}

static enum ttrpc_code create_as(Agent__StringUser *names, struct test_spec *s)
{
	Agent__CreateContainerRequest req =
		AGENT__CREATE_CONTAINER_REQUEST__INIT;

	req.container_id = strdup("n2");
	req.oci = &s->spec;
	req.string_user = names;
	return call("CreateContainer", &req.base, &agent__empty__descriptor,
		    NULL);
}

/* Of the first process: by names of the container's own files, which are more
 * than the numbers of the spec. */
static void test_first_names(const char *rootfs)
{
	Agent__StringUser names = AGENT__STRING_USER__INIT;
	char *gids[] = {(char *)"7"};
	struct test_spec s;

	spec_init(&s, rootfs, "sh", "-c", "id -u; id -g; id -G; echo $HOME",
		  END);
	s.user.uid = s.user.gid = 5;
	names.uid = strdup("one");
	check(create_as(&names, &s) == TTRPC_OK && start("n2") == TTRPC_OK &&
		      strcmp(read_all("n2", "", false),
			     "1000\n1000\n1000\n/home/one\n") == 0,
	      "CreateContainer: a user by name");
	check(remove_container("n2") == TTRPC_OK, "remove");
	names.uid = strdup("12");
	names.gid = strdup("13");
	names.additional_gids = gids;
	names.n_additional_gids = 1;
	check(create_as(&names, &s) == TTRPC_OK && start("n2") == TTRPC_OK &&
		      strcmp(read_all("n2", "", false), "12\n13\n13 7\n/\n") ==
			      0,
	      "CreateContainer: numbers as text");
	check(remove_container("n2") == TTRPC_OK, "remove");
	names.uid = strdup("nobody-here");
	check(create_as(&names, &s) != TTRPC_OK &&
		      strstr(call_text, "unable to find user nobody-here") &&
		      remove_container("n2") == TTRPC_NOT_FOUND,
	      "CreateContainer: a user that is not there");
}

static void test_names(const char *rootfs)
{
	Agent__StringUser names = AGENT__STRING_USER__INIT;
	char *gids[] = {(char *)"7", (char *)"one"};
	struct test_spec s, x;
	int status;

	spec_init(&s, rootfs, "sleep", "1000", END);
	spec_init(&x, rootfs, "sh", "-c", "id -u; id -g; id -G", END);
	names.uid = strdup("one");
	check(create("n1", &s) == TTRPC_OK && start("n1") == TTRPC_OK &&
		      exec_as(&names, &x) == TTRPC_OK &&
		      strncmp(read_all("n1", "e1", false), "1000\n1000\n",
			      10) == 0 &&
		      wait_process("n1", "e1", &status) == TTRPC_OK,
	      "a user by name");
	names.uid = strdup("12");
	names.gid = strdup("13");
	names.additional_gids = gids;
	names.n_additional_gids = 1;
	check(exec_as(&names, &x) == TTRPC_OK &&
		      strcmp(read_all("n1", "e1", false), "12\n13\n13 7\n") ==
			      0 &&
		      wait_process("n1", "e1", &status) == TTRPC_OK,
	      "numbers as text");
	names.n_additional_gids = 2;
	check(exec_as(&names, &x) != TTRPC_OK &&
		      strstr(call_text, "unable to find group one"),
	      "a group that is not there");
	names.uid = strdup("nobody-here");
	check(exec_as(&names, &x) != TTRPC_OK &&
		      strstr(call_text, "unable to find user nobody-here"),
	      "a user that is not there");
	check(remove_container("n1") == TTRPC_OK, "remove");
}

void test_names_suite(const char *rootfs)
{
	test_names(rootfs);
	test_first_names(rootfs);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that the host shares: they go, or their server falls silent. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/agent/plug.h"
#include "integration/agent/qmp.h"

#define SHARED "/run/kata-containers/shared/containers/"

/* What a new container finds at a place of the agent's. */
static bool finds(const char *path, const char *want)
{
	struct test_spec s;
	int status = -1;

	spec_init(&s, rootfs, "sh", "-c",
		  "cat /vol/file; grep -c ' /vol virtiofs' /proc/mounts", END);
	spec_mount(&s, "bind", path, "/vol", "rbind");
	return same(run("f", &s, &status), want);
}

static void init_share(Agent__Storage *s, const char *tag)
{
	init_storage(s, "virtio-fs", tag);
	s->fstype = strdup("virtiofs");
	if (asprintf(&s->mount_point, SHARED "%s", tag) < 0)
		abort();
}

static enum ttrpc_code remove_stale(void)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;

	return call("RemoveStaleVirtiofsShareMounts", &empty.base,
		    &agent__empty__descriptor, NULL);
}

/* A server that is there and says nothing. */
static void test_silent(pid_t server)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;
	Agent__VolumeStatsRequest volume = AGENT__VOLUME_STATS_REQUEST__INIT;
	char path[] = SHARED "stays";
	struct waiting w, stats;

	(void)kill(server, SIGSTOP);
	volume.volume_guest_path = path;
	ask(&stats, "GetVolumeStats", &volume.base);
	ask(&w, "RemoveStaleVirtiofsShareMounts", &empty.base);
	check(call_finish(&w) == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, SHARED "stays: its file system does "
					       "not answer"),
	      "a mount that does not answer is told");
	check(!stats.done, "GetVolumeStats waits, and holds up nobody");
	(void)kill(server, SIGCONT);
	check(call_finish(&stats) == TTRPC_OK, "until there is an answer");
	check(remove_stale() == TTRPC_OK && finds(SHARED "stays", "text\n1\n"),
	      "once it does, it is fine as ever");
}

static void test_stale(pid_t server)
{
	Agent__Storage gone, stays, *list[] = {&gone, &stays};
	struct test_spec s;

	check(qmp(PLUG("\"driver\": \"vhost-user-fs-pci\", \"bus\": \"rp9\", "
		       "\"chardev\": \"gone\", \"tag\": \"gone\", "
		       "\"id\": \"f9\"")) &&
		      says("cd /sys/bus/virtio/drivers/virtiofs; "
			   "until [ $(ls -d virtio* | wc -l) -eq 2 ]; do "
			   "sleep 0.1; done; echo 2",
			   "2\n"),
	      "a file system is plugged");
	init_share(&gone, "gone");
	init_share(&stays, "stays");
	spec_init(&s, rootfs, "sleep", "1000", END);
	check(create_with("d", &s, list, 2, NULL, 0) == TTRPC_OK &&
		      start("d") == TTRPC_OK,
	      "a container has it and another one as storage");
	check(remove_stale() == TTRPC_OK && finds(SHARED "gone", "text\n1\n") &&
		      finds(SHARED "stays", "text\n1\n"),
	      "RemoveStaleVirtiofsShareMounts: both are there");
	check(qmp(UNPLUG("f9")) && qmp_event("DEVICE_DELETED", "\"f9\""),
	      "the file system is unplugged");
	check(remove_stale() == TTRPC_OK && finds(SHARED "gone", "0\n"),
	      "RemoveStaleVirtiofsShareMounts: its mount is gone");
	check(finds(SHARED "stays", "text\n1\n"), "and the other one stays");
	test_silent(server);
	check(remove_container("d") == TTRPC_OK && finds(SHARED "stays", "") &&
		      strstr(call_text, "stays"),
	      "remove");
}

static void init_remove(Agent__RemoveContainerRequest *req, const char *id,
			uint32_t timeout_s)
{
	agent__remove_container_request__init(req);
	req->container_id = strdup(id);
	req->timeout = timeout_s;
}

/* A container with a file system of the guest's own memory. */
static bool comes_and_goes(void)
{
	Agent__Storage memory, *list[] = {&memory};
	struct test_spec s;

	init_storage(&memory, "ephemeral", "tmpfs");
	memory.fstype = strdup("tmpfs");
	spec_init(&s, rootfs, "grep", "-c", " /vol tmpfs", "/proc/mounts", END);
	spec_mount(&s, "bind", memory.mount_point, "/vol", "rbind");
	return create_with("e", &s, list, 1, NULL, 0) == TTRPC_OK &&
	       start("e") == TTRPC_OK && prints("e", "1\n") &&
	       remove_container("e") == TTRPC_OK;
}

/* Its last mount of `stays` is what the container d has as storage. What it
 * sees there at /vol, unless it is NULL, is a submount. */
static void begin_d(const char *submount)
{
	Agent__Storage stays, *list[] = {&stays};
	struct test_spec s;

	init_share(&stays, "stays");
	spec_init(&s, rootfs, "sh", "-c", "cat /vol/file; exec sleep 1000 >&-",
		  END);
	if (submount)
		spec_mount(&s, "bind", submount, "/vol", "rbind");
	check(create_with("d", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      start("d") == TTRPC_OK &&
		      prints("d", submount ? "sub\n" : ""),
	      "a container has a file system as storage");
}

/* It waits for the host to answer FUSE_DESTROY. */
static void test_unmount(pid_t server)
{
	Agent__RemoveContainerRequest remove;
	Agent__CreateContainerRequest again;
	Agent__Storage stays, *list[] = {&stays};
	struct waiting w, next;
	struct test_spec s;

	begin_d(SHARED "stays/sub");
	(void)kill(server, SIGSTOP);
	init_remove(&remove, "d", 1);
	ask(&w, "RemoveContainer", &remove.base);
	check(comes_and_goes(), "another container comes and goes meanwhile");
	check(call_finish(&w) == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text,
			     SHARED "stays/sub: not unmounted in time"),
	      "a mount that its server keeps is told");
	init_share(&stays, "stays");
	spec_init(&s, rootfs, "cat", "/vol/file", END);
	spec_mount(&s, "bind", SHARED "stays", "/vol", "rbind");
	init_create(&again, &s, "f");
	again.storages = list;
	again.n_storages = 1;
	ask(&next, "CreateContainer", &again.base);
	check(call_finish(&next) == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text,
			     SHARED "stays is still being unmounted"),
	      "who would have its place has a limit, too");
	ask(&next, "CreateContainer", &again.base);
	init_remove(&remove, "d", 0);
	ask(&w, "RemoveContainer", &remove.base);
	(void)kill(server, SIGCONT);
	check(call_finish(&w) == TTRPC_OK,
	      "it is gone when the server answers");
	check(call_finish(&next) == TTRPC_OK && start("f") == TTRPC_OK &&
		      prints("f", "text\n") &&
		      remove_container("f") == TTRPC_OK,
	      "and then it is mounted again");
}

static void test_end(pid_t server)
{
	Agent__Empty empty = AGENT__EMPTY__INIT;
	struct waiting w;

	begin_d(NULL);
	(void)kill(server, SIGSTOP);
	ask(&w, "DestroySandbox", &empty.base);
	check(call_finish(&w) == TTRPC_DEADLINE_EXCEEDED &&
		      strstr(call_text, SHARED "stays: not unmounted in time"),
	      "DestroySandbox: tells what it leaves behind");
	/* The machine syncs its disks yet, and so all that it has mounted. */
	(void)kill(server, SIGCONT);
}

void test_shares(pid_t server)
{
	test_stale(server);
	test_unmount(server);
	test_end(server);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Good requests that would change this machine, as far as its kernel, or a file
 * server, would see them; and what their refusals leave undone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/replay.h"
#include "integration/agent/boot.h"
#include "integration/agent/boot_kernel.h"
#include "integration/agent/client.h"

#define SHARED "/run/kata-containers/shared/containers"
#define WAIT_MS 20000

static enum ttrpc_code ask(const char *method, const ProtobufCMessage *req)
{
	return call(method, req, &agent__empty__descriptor, NULL);
}

static bool told(const char *want)
{
	const char *line = kernel_told();

	if (strcmp(line, want) == 0)
		return true;
	printf("# the kernel was told: %s\n", line);
	return false;
}

static void test_clock(void)
{
	Agent__SetGuestDateTimeRequest set =
		AGENT__SET_GUEST_DATE_TIME_REQUEST__INIT;

	set.usec = 1000000;
	check(ask("SetGuestDateTime", &set.base) == TTRPC_INVALID_ARGUMENT,
	      "SetGuestDateTime: a time out of range");
	set.sec = 2000000000;
	set.usec = 5;
	check(ask("SetGuestDateTime", &set.base) == TTRPC_OK &&
		      told("clock 0 2000000000 5000"),
	      "SetGuestDateTime");
}

static void test_random(void)
{
	Agent__ReseedRandomDevRequest seed =
		AGENT__RESEED_RANDOM_DEV_REQUEST__INIT;
	uint8_t bytes[32] = {1, 2, 3};

	if (mknod(in_guest("/dev/random"), S_IFCHR | 0666, makedev(1, 8)) < 0 &&
	    errno != EEXIST)
		need(false, "/dev/random");
	seed.data.data = bytes;
	check(ask("ReseedRandomDev", &seed.base) == TTRPC_INVALID_ARGUMENT,
	      "ReseedRandomDev: no entropy");
	seed.data.len = sizeof(bytes);
	check(ask("ReseedRandomDev", &seed.base) == TTRPC_OK &&
		      told("entropy 256 32 010203") && told("reseed"),
	      "ReseedRandomDev");
}

/* It is nobody's to open, which is no reason to wait for it. */
static void make_disk(void)
{
	static const char path[] = "/dev/" BOOT_DISK;

	need(mknod(path, S_IFBLK | 0600, makedev(7, 0)) == 0 &&
		     mount(path, path, NULL, MS_BIND, NULL) == 0 &&
		     mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NODEV,
			   NULL) == 0,
	     path);
}

static void test_swap(void)
{
	Agent__AddSwapRequest swap = AGENT__ADD_SWAP_REQUEST__INIT;
	Agent__AddSwapPathRequest path = AGENT__ADD_SWAP_PATH_REQUEST__INIT;
	uint32_t hops[] = {BOOT_SLOT};

	with_mounts(make_disk, "a disk");
	swap.pci_path = hops;
	swap.n_pci_path = 1;
	check(ask("AddSwap", &swap.base) == TTRPC_OK &&
		      told("swapon /dev/" BOOT_DISK " 0"),
	      "AddSwap");
	path.path = strdup("/dev/ptmx");
	check(ask("AddSwapPath", &path.base) == TTRPC_INVALID_ARGUMENT,
	      "AddSwapPath: no disk");
	path.path = strdup("/dev/" BOOT_DISK);
	check(ask("AddSwapPath", &path.base) == TTRPC_OK &&
		      told("swapon /dev/" BOOT_DISK " 0"),
	      "AddSwapPath");
}

/* Sooner or later it has that in it. */
static bool has(const char *path, const char *want)
{
	char text[16];

	for (int i = 0; i < WAIT_MS / 10; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (strcmp(text, want) == 0)
			return true;
		usleep(10000);
	}
	return false;
}

#define GIVE(message, has, number, field, value)     \
	do {                                         \
		(message).has_##has##_case = number; \
		(message).field = value;             \
	} while (0)

static void test_compact(void)
{
	Agent__MemAgentCompactSetRequest set =
		AGENT__MEM_AGENT_COMPACT_SET_REQUEST__INIT;
	enum ttrpc_code code;

	GIVE(set, disabled, 1, disabled, false);
	GIVE(set, period_secs, 2, period_secs, 1);
	GIVE(set, period_psi, 3, period_psi_percent_limit, 100);
	GIVE(set, compact_psi, 4, compact_psi_percent_limit, 100);
	GIVE(set, force_times, 8, compact_force_times, 0);
	code = ask("MemAgentCompactSet", &set.base);
	if (code == TTRPC_UNIMPLEMENTED && strstr(call_text, "this kernel")) {
		skip("MemAgentCompactSet: %s", call_text);
		return;
	}
	check(code == TTRPC_OK && has(in_guest(BOOT_COMPACTED), "1"),
	      "MemAgentCompactSet: on");
	GIVE(set, disabled, 1, disabled, true);
	check(ask("MemAgentCompactSet", &set.base) == TTRPC_OK,
	      "MemAgentCompactSet: off");
}

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){.len = strlen(text),
				     .data = (uint8_t *)(uintptr_t)text};
}

static enum ttrpc_code replay(Agent__FileEvent **events, size_t n)
{
	Agent__ReplayEventsRequest req = AGENT__REPLAY_EVENTS_REQUEST__INIT;

	req.events = events;
	req.n_events = n;
	return ask("ReplayEvents", &req.base);
}

/* The next event of the watch; its name, a short one or "", must be that. */
static bool hears(int watch, uint32_t mask, const char *name)
{
	struct {
		struct inotify_event event;
		char name[sizeof(struct inotify_event)]; /* as it is padded */
	} e;
	struct pollfd pfd = {.fd = watch, .events = POLLIN};
	/* And not the one behind it. */
	size_t room = *name ? sizeof(e) : sizeof(e.event);

	memset(&e, 0, sizeof(e));
	if (poll(&pfd, 1, WAIT_MS) <= 0 || read(watch, &e, room) <= 0)
		return false;
	if (e.event.mask == mask && strcmp(e.name, name) == 0)
		return true;
	printf("# event %#x of %s\n", e.event.mask, e.name);
	return false;
}

/* As a volume by itself, after the directory that has it. */
static void test_file_events(int watch)
{
	Agent__FileEvent root = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent modify = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent close_write = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent attrib = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent create = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent *events[] = {&root, &create, &modify, &close_write,
				      &attrib};

	root.kind = FILE_EVENT_ROOT;
	root.to_dir = 2;
	root.name = bytes("c/f");
	modify.kind = FILE_EVENT_MODIFY;
	close_write.kind = FILE_EVENT_CLOSE_WRITE;
	attrib.kind = FILE_EVENT_ATTRIB;
	create.kind = FILE_EVENT_CREATE;
	create.name = bytes("x");
	modify.dir = close_write.dir = attrib.dir = create.dir = 2;
	put(in_guest(SHARED "/c/f"), "text");
	need(inotify_add_watch(watch, in_guest(SHARED "/c/f"),
			       IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB) >= 0,
	     "a watch");
	check(replay(events, ARRAY_SIZE(events)) == TTRPC_OK &&
		      hears(watch, IN_MODIFY, "") &&
		      hears(watch, IN_CLOSE_WRITE, "") &&
		      hears(watch, IN_ATTRIB, ""),
	      "ReplayEvents: of a file, those that it has");
}

/* A real watch of a directory that no server of virtio-fs shares. */
static void test_events(void)
{
	static const char dir[] = SHARED "/c/v";
	Agent__FileEvent root = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent modify = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent attrib = AGENT__FILE_EVENT__INIT;
	Agent__FileEvent *events[] = {&root, &modify, &attrib};
	char command[512];
	int watch = inotify_init1(IN_CLOEXEC);

	(void)snprintf(command, sizeof(command), "mkdir -p %s", in_guest(dir));
	need(watch >= 0 && system(command) == 0, dir);
	put(in_guest(SHARED "/c/v/f"), "text");
	need(inotify_add_watch(watch, in_guest(dir), IN_MODIFY | IN_ATTRIB) >=
		     0,
	     "a watch");
	root.kind = FILE_EVENT_ROOT;
	root.directory = true;
	root.to_dir = 1;
	root.name = bytes("c/v");
	modify.kind = FILE_EVENT_MODIFY;
	attrib.kind = FILE_EVENT_ATTRIB;
	modify.dir = attrib.dir = 1;
	modify.name = attrib.name = bytes("f");
	check(replay(events, 3) == TTRPC_OK && hears(watch, IN_MODIFY, "f") &&
		      hears(watch, IN_ATTRIB, "f"),
	      "ReplayEvents: who watches hears of them");
	modify.name = bytes("../f");
	check(replay(&events[2], 1) == TTRPC_OK &&
		      hears(watch, IN_ATTRIB, "f") &&
		      replay(&events[1], 2) == TTRPC_INVALID_ARGUMENT,
	      "ReplayEvents: none of them when one is not usable");
	test_file_events(watch);
	close(watch);
}

void test_machine(void)
{
	test_clock();
	test_random();
	test_swap();
	test_compact();
	test_events();
}

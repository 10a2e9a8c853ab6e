/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that the machine has had from its start, and swap on them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

#define VOLUME "/run/kata-containers/sandbox/cold"

static const char *rootfs;

static int shell(const char *command)
{
	return system(command); /* of the test's own */
}

/* The slot of a disk on the only bus there is; 0: it has none. */
static unsigned slot_of(const char *disk)
{
	char path[64], target[512], *at;
	unsigned slot = 0;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/block/%s", disk);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	at = strstr(target, "/0000:00:");
	if (!at || sscanf(at, "/0000:00:%x.0/virtio", &slot) != 1)
		return 0;
	return slot;
}

static void storage_at(Agent__Storage *storage, const char *source)
{
	agent__storage__init(storage);
	storage->driver = strdup("blk");
	storage->source = strdup(source);
	storage->fstype = strdup("ext4");
	storage->mount_point = strdup(VOLUME);
}

/* By "SS" and by "SS.F", as both are spellings of a PCI path. */
static void test_volume(const char *source)
{
	Agent__Storage storage, *list[] = {&storage};
	struct test_spec s;

	storage_at(&storage, source);
	spec_init(&s, rootfs, "sh", "-c", "cat /vol/file; echo more > /vol/new",
		  END);
	spec_mount(&s, "bind", VOLUME, "/vol", "rbind");
	check(create_with("d1", &s, list, 1, NULL, 0) == TTRPC_OK &&
		      shell("grep -q '^/dev/vda " VOLUME
			    " ext4' /proc/mounts") == 0 &&
		      start("d1") == TTRPC_OK &&
		      strcmp(read_all("d1", "", false), "text\n") == 0 &&
		      shell("grep -qx more " VOLUME "/new") == 0,
	      "a disk of the machine's as volume: %s", source);
	check(remove_container("d1") == TTRPC_OK &&
		      shell("! grep -q " VOLUME " /proc/mounts") == 0,
	      "remove");
}

static void test_not_a_file_system(const char *source)
{
	Agent__Storage storage, *list[] = {&storage};
	struct test_spec s;

	storage_at(&storage, source);
	spec_init(&s, rootfs, "true", END);
	check(create_with("d1", &s, list, 1, NULL, 0) != TTRPC_OK &&
		      strstr(call_text, VOLUME),
	      "a disk without that file system: %s", call_text);
}

static void test_device(const char *id)
{
	Agent__Device device = AGENT__DEVICE__INIT;

	device.id = strdup(id);
	check_block_device(rootfs, &device, "/dev/vda",
			   "a disk of the machine's in a container, by its PCI "
			   "path");
}

static enum ttrpc_code add_swap(unsigned slot)
{
	Agent__AddSwapRequest req = AGENT__ADD_SWAP_REQUEST__INIT;

	req.pci_path = &slot;
	req.n_pci_path = 1;
	return call("AddSwap", &req.base, &agent__empty__descriptor, NULL);
}

static enum ttrpc_code add_swap_path(const char *path)
{
	Agent__AddSwapPathRequest req = AGENT__ADD_SWAP_PATH_REQUEST__INIT;

	req.path = strdup(path);
	return call("AddSwapPath", &req.base, &agent__empty__descriptor, NULL);
}

static void test_swap(unsigned slot)
{
	check(add_swap(slot) == TTRPC_OK &&
		      shell("grep -q '^/dev/vdb .*partition' /proc/swaps") == 0,
	      "AddSwap");
	check(add_swap(slot) != TTRPC_OK && strstr(call_text, "swap on"),
	      "AddSwap: in use already");
	check(add_swap_path("/dev/vdc") == TTRPC_OK &&
		      shell("grep -q '^/dev/vdc .*partition' /proc/swaps") == 0,
	      "AddSwapPath");
	check(add_swap_path("/dev/vda") == TTRPC_INVALID_ARGUMENT &&
		      strstr(call_text, "swap on /dev/vda"),
	      "AddSwapPath: a disk that is no swap space");
	check(shell("[ $(sed -n 's/^SwapTotal: *\\([0-9]*\\) kB/\\1/p' "
		    "/proc/meminfo) -gt 16000 ] && swapoff /dev/vdb && "
		    "swapoff /dev/vdc") == 0,
	      "the guest has both of them");
}

void test_disks_suite(const char *root)
{
	char source[2][16];
	unsigned slot;

	rootfs = root;
	/* Elsewhere they are the host's. */
	slot = getenv("AGENT_IS_INIT") ? slot_of("vda") : 0;
	if (!slot || !slot_of("vdb") || !slot_of("vdc")) {
		skip("disks: none that are this agent's");
		return;
	}
	(void)snprintf(source[0], sizeof(source[0]), "%02x", slot);
	(void)snprintf(source[1], sizeof(source[1]), "%02x.0", slot);
	test_volume(source[0]);
	test_volume(source[1]);
	test_device(source[0]);
	(void)snprintf(source[0], sizeof(source[0]), "%02x", slot_of("vdb"));
	test_not_a_file_system(source[0]);
	test_swap(slot_of("vdb"));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* PCI paths, and their way through a tree like sysfs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "guest/agent/pci_path.h"

static void parses(void **state)
{
	struct pci_path p;

	assert_true(pci_path_parse("02", &p));
	assert_true(p.n == 1 && p.hops[0].slot == 2 && !p.hops[0].function);
	assert_true(pci_path_parse("1f.7/3/0A.1", &p));
	assert_true(p.n == 3 && p.hops[0].slot == 31);
	assert_true(p.hops[0].function == 7 && p.hops[1].slot == 3);
	assert_true(p.hops[2].slot == 10 && p.hops[2].function == 1);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"",    "/",	 "02/",	 "/02",	 "02//03", "20",    "002",
		"02.", "02.8",	 "02.x", "0x2",	 "g",	   " 02",   "02 ",
		"-1",  "02.1.1", "..",	 "02,3", "\x10",   "0\x11",
	};
	char longest[PCI_HOPS_MAX * 3 + 4] = "";
	struct pci_path p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pci_path_parse(bad[i], &p));
	for (size_t i = 0; i < PCI_HOPS_MAX; i++)
		(void)snprintf(longest + i * 3, 4, "01/");
	longest[PCI_HOPS_MAX * 3 - 1] = '\0';
	assert_true(pci_path_parse(longest, &p));
	strcat(longest, "/01");
	assert_false(pci_path_parse(longest, &p));
}

#define TREE "devices/pci0000:00/0000:00:02.0"

static void finds(void **state)
{
	char dir[] = "/tmp/test_pci_path.XXXXXX", path[256], name[32];
	struct pci_path p;
	int root;

	assert_non_null(mkdtemp(dir));
	root = open(dir, O_PATH | O_DIRECTORY);
	assert_true(root >= 0);
	assert_true(pci_path_parse("02/03.1", &p));
	assert_int_equal(pci_path_block(root, &p, name, sizeof(name)), -ENOENT);
	(void)snprintf(path, sizeof(path), "%s/" TREE "/pci_bus/0000:01", dir);
	assert_int_equal(mkdir_all(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/" TREE "/0000:01:03.1", dir);
	assert_int_equal(mkdir_all(path, 0755), 0);
	assert_int_equal(pci_path_block(root, &p, name, sizeof(name)), -ENOENT);
	(void)snprintf(path, sizeof(path),
		       "%s/" TREE "/0000:01:03.1/virtio4/block/vdc", dir);
	assert_int_equal(mkdir_all(path, 0755), 0);
	assert_int_equal(pci_path_block(root, &p, name, sizeof(name)), 0);
	assert_string_equal(name, "vdc");
	assert_int_equal(pci_path_block(root, &p, name, 3), -ENAMETOOLONG);
	assert_int_equal(pci_path_net(root, &p, name, sizeof(name)), -ENOENT);
	(void)snprintf(path, sizeof(path),
		       "%s/" TREE "/0000:01:03.1/virtio4/net/eth3", dir);
	assert_int_equal(mkdir_all(path, 0755), 0);
	assert_int_equal(pci_path_net(root, &p, name, sizeof(name)), 0);
	assert_string_equal(name, "eth3");
	assert_true(pci_path_parse("02/03", &p));
	assert_int_equal(pci_path_block(root, &p, name, sizeof(name)), -ENOENT);
	close(root);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses),
		cmocka_unit_test(finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

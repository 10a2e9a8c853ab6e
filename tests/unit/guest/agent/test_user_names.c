/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guest/agent/user_names.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "\n:x:5:5\nbad:x:y:1::\nshort:x\n"
			     "ann:x:1000:100:Ann:/home/ann:/bin/sh\n"
			     "ann:x:7:7::/:\n"
			     "big:x:4294967295:1::\nhuge:x:99999999999:1::\n"
			     "end:x:12:13";
static const char group[] = "root:x:0:\nstaff:x:50:ann\nlast:x:60";

static int resolve(const char *uid, const char *gid, Oci__User *user)
{
	Agent__StringUser names = AGENT__STRING_USER__INIT;
	struct err err = {0};

	oci__user__init(user);
	user->uid = user->gid = 77;
	names.uid = (char *)(uintptr_t)uid;
	names.gid = (char *)(uintptr_t)gid;
	return user_names_resolve(&names, passwd, group, user, &err);
}

static void finds(void **state)
{
	Oci__User user;

	assert_int_equal(resolve("", "", &user), 0);
	assert_true(user.uid == 77 && user.gid == 77);
	assert_int_equal(resolve("ann", "", &user), 0);
	assert_true(user.uid == 1000 && user.gid == 100);
	assert_int_equal(resolve("ann", "staff", &user), 0);
	assert_true(user.uid == 1000 && user.gid == 50);
	assert_int_equal(resolve("end", "last", &user), 0);
	assert_true(user.uid == 12 && user.gid == 60);
	assert_int_equal(resolve("4294967294", "1", &user), 0);
	assert_true(user.uid == 4294967294 && user.gid == 1);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"bad", "short", "big",	      "huge", "an", "annx",
		"-1",  "x",	"4294967295", "1x",   ":",  "ann:x",
	};
	Oci__User user;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(resolve(bad[i], "", &user), -EINVAL);
	assert_int_equal(resolve("", "ann", &user), -EINVAL);
}

static void groups(void **state)
{
	Agent__StringUser names = AGENT__STRING_USER__INIT;
	char *list[] = {(char *)"staff", (char *)"9", (char *)"none"};
	Oci__User user = OCI__USER__INIT;
	struct err err = {0};

	names.additional_gids = list;
	names.n_additional_gids = 2;
	assert_int_equal(user_names_resolve(&names, passwd, group, &user, &err),
			 0);
	assert_int_equal(user.n_additional_gids, 2);
	assert_true(user.additional_gids[0] == 50 &&
		    user.additional_gids[1] == 9);
	free(user.additional_gids);
	names.n_additional_gids = 3;
	assert_int_equal(user_names_resolve(&names, passwd, group, &user, &err),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(refuses),
		cmocka_unit_test(groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

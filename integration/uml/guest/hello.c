/* SPDX-License-Identifier: Apache-2.0 */

/* Says that it runs, and powers off; "panic" on the command line: exits. */

#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char line[] = "init runs\n";

	(void)!write(1, line, sizeof(line) - 1);
	for (int i = 1; i < argc; i++)
		dprintf(1, "argument \"%s\"\n", argv[i]);
	if (argc > 1 && strcmp(argv[1], "panic") == 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "reset") == 0)
		reboot(RB_AUTOBOOT);
	reboot(RB_POWER_OFF);
	return 1;
}

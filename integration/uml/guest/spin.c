/* SPDX-License-Identifier: Apache-2.0 */

/* Computes for a second of its own time, then powers off. */

#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

static long cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int main(void)
{
	static const char line[] = "init runs\n", end[] = "spun\n";

	(void)!write(1, line, sizeof(line) - 1);
	/* Long runs without a call: nothing but a signal gets it back. */
	while (cpu_ms() < 1000)
		for (volatile unsigned long n = 0; n < 20000000; n++)
			;
	(void)!write(1, end, sizeof(end) - 1);
	reboot(RB_POWER_OFF);
	return 1;
}

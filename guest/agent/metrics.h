/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_METRICS_H
#define GUEST_AGENT_METRICS_H

/*
 * The agent and the guest in the text format of Prometheus. What Kata's
 * agent exports as well has its name (kata_agent_*, kata_guest_*), so that
 * its dashboards work.
 */

/* NULL: out of memory. Caller frees. */
char *metrics_text(void);

#endif

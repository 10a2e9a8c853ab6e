/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_ALL_H
#define INTEGRATION_VIRTIOFS_HOSTILE_ALL_H

/*
 * All groups, or that one alone (NULL: all), one after the other. After each,
 * the host is as it was, and the server as well: it lives, holds what it held,
 * and serves a guest with manners. A line for each: "ok" or "not ok", title,
 * name. How many are not ok.
 */
unsigned hostile_all(const char *title, const char *only);

#endif

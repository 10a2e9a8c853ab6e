/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_PROCESS_JSON_H
#define RUNTIME_CLI_PROCESS_JSON_H

#include "runtime/cli/cli.h"

/*
 * The "process" object that `exec` sends: --process FILE as it stands, or
 * that of the bundle's config.json with what the command line changes. Text;
 * the caller frees. NULL: err.
 */
char *process_json(const struct cli *cli, const char *bundle, struct err *err);

#endif

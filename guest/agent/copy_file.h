/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_COPY_FILE_H
#define GUEST_AGENT_COPY_FILE_H

/*
 * CopyFile: files, directories and symbolic links that the host puts below
 * SHARED_DIR when it shares no file system. A file comes in pieces, in order;
 * it gets its name when it has its size.
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

#define SHARED_DIR "/run/kata-containers/shared/containers"

int copy_file(const Agent__CopyFileRequest *msg, struct err *err) MUST_CHECK;

#endif

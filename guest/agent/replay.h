/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_REPLAY_H
#define GUEST_AGENT_REPLAY_H

/* The process that does in the guest what the host did (file_events.h). */

#include "base/compiler.h"

/* The first byte of a message to it. */
enum replay_message {
	REPLAY_MESSAGE_EVENTS = 'e', /* a ReplayEventsRequest; answered by a
				      * byte when it is done */
	REPLAY_MESSAGE_FORGET = 'f', /* the id of a container; no answer */
};

/* Until the other side of the socket is closed. */
void replay_serve(int fd);

#endif

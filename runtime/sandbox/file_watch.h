/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_FILE_WATCH_H
#define RUNTIME_SANDBOX_FILE_WATCH_H

/*
 * In the sandbox process: watches volumes as the supervisor says, and tells it
 * what changed, one message at a time; the next one when it has asked for it.
 */

#include "base/err.h"
#include "base/evloop.h"
#include "runtime/sandbox/control.h"
#include "runtime/sandbox/event_batch.h"
#include "virtiofs/watch.h"

struct file_watch {
	struct fs_watch *watch;	  /* NULL: there is none */
	int control;		  /* borrowed */
	bool told;		  /* and not asked again */
	struct event_batch batch; /* the last one */
	struct evtimer soon;
	struct evtimer retry;
};

/* Before the lock-down. Takes the config's descriptors; the callbacks in it are
 * set here. */
int file_watch_init(struct file_watch *f, int control,
		    struct fs_watch_config *config, struct err *err) MUST_CHECK;
/* False: not a message that is for here. */
bool file_watch_message(struct file_watch *f, const struct control_message *m);

#endif

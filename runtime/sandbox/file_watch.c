/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/file_watch.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"

/* Between a message for which the socket had no room and the next try. */
#define RETRY_MS 10

static void send_batch(struct file_watch *f)
{
	int ret = control_send(f->control, CONTROL_FILE_EVENTS, f->batch.text,
			       f->batch.len);

	/* Anything else is the supervisor's end. */
	if (ret == -EAGAIN)
		evtimer_start(&f->retry, RETRY_MS);
}

static void on_retry(struct evtimer *timer)
{
	send_batch(container_of(timer, struct file_watch, retry));
}

static void tell(struct file_watch *f)
{
	const struct fs_event *event;

	if (f->told)
		return;
	f->batch.len = 0;
	while ((event = fs_watch_first(f->watch)) &&
	       event_batch_add(&f->batch, event))
		fs_watch_drop(f->watch);
	if (!f->batch.len)
		return;
	f->told = true;
	send_batch(f);
}

static void on_events(struct evtimer *timer)
{
	tell(container_of(timer, struct file_watch, soon));
}

/* There is more by the end of the turn. */
static void on_ready(void *arg)
{
	struct file_watch *f = arg;

	evtimer_start(&f->soon, 0);
}

static void on_warning(void *arg, const char *text)
{
	struct file_watch *f = arg;
	char line[320];
	int len = snprintf(line, sizeof(line), "file events: %s", text);

	(void)!control_send(f->control, CONTROL_LOG, line, (size_t)len);
}

int file_watch_init(struct file_watch *f, int control,
		    struct fs_watch_config *config, struct err *err)
{
	int ret;

	config->ready = on_ready;
	config->warn = on_warning;
	config->arg = f;
	f->control = control;
	f->watch = fs_watch_new(config, err);
	if (!f->watch)
		return -err->code;
	ret = evtimer_init(config->loop, &f->retry, on_retry);
	if (!ret)
		ret = evtimer_init(config->loop, &f->soon, on_events);
	if (!ret)
		return 0;
	fs_watch_free(steal_ptr(&f->watch));
	return err_ret(err, ret, "file events");
}

bool file_watch_message(struct file_watch *f, const struct control_message *m)
{
	switch (m->type) {
	case CONTROL_WATCH:
		if (f->watch)
			fs_watch_add(f->watch, m->text);
		return true;
	case CONTROL_UNWATCH:
		if (f->watch)
			fs_watch_remove(f->watch, m->text);
		return true;
	case CONTROL_NEXT:
		f->told = false;
		if (f->watch)
			tell(f);
		return true;
	default:
		return false;
	}
}

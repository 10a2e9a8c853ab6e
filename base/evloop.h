/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_EVLOOP_H
#define BASE_EVLOOP_H

/*
 * An event loop on epoll. Sources, timers and posts are embedded in their
 * owners (container_of gives the owner back). All calls but evloop_post,
 * evloop_call and evloop_stop belong to the loop's own thread, or to any
 * thread while the loop does not run yet. A source that was removed is never
 * called again, even when its event was already fetched: its memory may be
 * freed at once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/compiler.h"

struct evloop;

struct evsource {
	int fd; /* borrowed; -1: not added */
	uint32_t events;
	struct evloop *loop;
	void (*ready)(struct evsource *src, uint32_t revents);
};

struct evtimer {
	struct evsource src; /* a timerfd that the timer owns */
	void (*expired)(struct evtimer *timer);
};

struct evpost {
	struct evpost *next;
	void (*run)(struct evpost *post);
};

struct evloop *evloop_new(void);       /* NULL: errno is set */
void evloop_free(struct evloop *loop); /* NULL is fine */

/* Runs until evloop_stop (also one that came before). 0, or -errno of
 * epoll_wait. A loop does not run twice at a time, nor within itself. */
int evloop_run(struct evloop *loop);
/* Waits at most timeout_ms (-1: no limit), runs what is ready once. 0 (also
 * when nothing was ready, or a signal came), or -errno of epoll_wait. */
int evloop_once(struct evloop *loop, int timeout_ms);
void evloop_stop(struct evloop *loop);

/* The source must not be added already. 0 or -errno. */
int evsource_add(struct evloop *loop, struct evsource *src, int fd,
		 uint32_t events,
		 void (*ready)(struct evsource *, uint32_t)) MUST_CHECK;
int evsource_modify(struct evsource *src, uint32_t events) MUST_CHECK;
/* Does not close fd. No effect on a zeroed or already removed source. */
void evsource_del(struct evsource *src);
/* The same, and closes fd: for a source that owns it. */
void evsource_close(struct evsource *src);

int evtimer_init(struct evloop *loop, struct evtimer *timer,
		 void (*expired)(struct evtimer *)) MUST_CHECK;
/* One shot after `ms` (0 is rounded up to "as soon as possible"). */
void evtimer_start(struct evtimer *timer, uint64_t ms);
void evtimer_stop(struct evtimer *timer);
void evtimer_release(struct evtimer *timer);

/* From any thread: `run` is called once, on the loop's thread, in order. */
void evloop_post(struct evloop *loop, struct evpost *post);
/*
 * From any thread: runs fn(arg) on the loop's thread and waits for it. Called
 * on the loop's thread, or while the loop is not running, it is a plain call.
 * The latter runs on the caller's thread: who stops the loop, or did not start
 * it yet, sees to it that nobody calls meanwhile, or that fn is safe there.
 * Calls that wait when the loop stops are served before evloop_run returns.
 */
void evloop_call(struct evloop *loop, void (*fn)(void *arg), void *arg);
/*
 * On the loop's thread: runs posts and calls, and no source, until done(arg),
 * which is asked after each batch of them and after each evloop_poke. For
 * whoever waits there for a thread that may itself be in evloop_call.
 */
void evloop_serve(struct evloop *loop, bool (*done)(void *arg), void *arg);
/* From any thread: makes evloop_serve ask again. */
void evloop_poke(struct evloop *loop);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/evloop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/err.h"

#define BATCH_MAX 64

struct evloop {
	int epfd;
	struct evsource wake; /* an eventfd: posts and evloop_stop */
	atomic_bool stop;

	/* What epoll_wait returned and was not dispatched yet. */
	struct epoll_event batch[BATCH_MAX];
	int next, fetched;

	/* lock: everything below */
	pthread_mutex_t lock;
	pthread_cond_t called; /* some evloop_call is done */
	bool running;
	pthread_t thread; /* while running */
	struct evpost *posts, **posts_end;
};

struct call {
	struct evpost post;
	struct evloop *loop;
	void (*fn)(void *arg);
	void *arg;
	bool done; /* loop->lock */
};

static void wake(struct evloop *loop)
{
	const uint64_t one = 1;

	/* EAGAIN: 2^64 - 1 wake-ups are pending, one of them is enough. */
	while (write(loop->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static struct evpost *take_post(struct evloop *loop)
{
	struct evpost *post;

	pthread_mutex_lock(&loop->lock);
	post = loop->posts;
	if (post)
		loop->posts = post->next;
	if (!loop->posts)
		loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->lock);
	return post;
}

/*
 * Takes them one by one: a post may call evloop_serve, which must find those
 * behind it. Those that are added meanwhile wait for another turn, so that a
 * post which posts itself starves nobody.
 */
static void run_posts(struct evloop *loop)
{
	struct evpost *post;
	size_t n = 0;

	pthread_mutex_lock(&loop->lock);
	for (post = loop->posts; post; post = post->next)
		n++;
	pthread_mutex_unlock(&loop->lock);
	/* The post may be freed, or posted again, by its run. */
	while (n-- > 0 && (post = take_post(loop)) != NULL)
		post->run(post);
	pthread_mutex_lock(&loop->lock);
	if (loop->posts)
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void woken(struct evsource *src, uint32_t revents)
{
	struct evloop *loop = container_of(src, struct evloop, wake);
	uint64_t count;

	while (read(src->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	run_posts(loop);
}

void evloop_serve(struct evloop *loop, bool (*done)(void *arg), void *arg)
{
	struct pollfd pfd = {.fd = loop->wake.fd, .events = POLLIN};
	uint64_t count;

	for (;;) {
		run_posts(loop);
		if (done(arg))
			return;
		if (poll(&pfd, 1, -1) < 0)
			BUG_ON(errno != EINTR);
		else if (read(pfd.fd, &count, sizeof(count)) < 0)
			BUG_ON(errno != EINTR && errno != EAGAIN);
	}
}

void evloop_poke(struct evloop *loop)
{
	wake(loop);
}

struct evloop *evloop_new(void)
{
	struct evloop *loop = calloc(1, sizeof(*loop));
	int fd, rc;

	if (!loop)
		return NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->called, NULL);
	loop->wake.fd = -1;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0)
		goto fail;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		goto fail;
	rc = evsource_add(loop, &loop->wake, fd, EPOLLIN, woken);
	if (rc < 0) {
		close(fd);
		errno = -rc;
		goto fail;
	}
	return loop;
fail:
	rc = errno;
	evloop_free(loop);
	errno = rc;
	return NULL;
}

void evloop_free(struct evloop *loop)
{
	if (!loop)
		return;
	BUG_ON(loop->running);
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	pthread_cond_destroy(&loop->called);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

static void enter(struct evloop *loop)
{
	pthread_mutex_lock(&loop->lock);
	if (loop->running)
		BUG("event loop entered twice");
	loop->running = true;
	loop->thread = pthread_self();
	pthread_mutex_unlock(&loop->lock);
}

/*
 * Whoever queued a call before `running` fell waits for it, so that the posts
 * which are there must run now. Later callers see a loop that does not run.
 */
static void leave(struct evloop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->running = false;
	pthread_mutex_unlock(&loop->lock);
	run_posts(loop);
}

static int wait_and_dispatch(struct evloop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epfd, loop->batch, BATCH_MAX, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->fetched = n;
	for (loop->next = 0; loop->next < loop->fetched;) {
		const struct epoll_event *ev = &loop->batch[loop->next++];
		struct evsource *src = ev->data.ptr;
		uint32_t revents;

		if (!src)
			continue;
		/* evsource_modify may have been called since the fetch. */
		revents = ev->events & (src->events | EPOLLERR | EPOLLHUP);
		if (revents)
			src->ready(src, revents);
	}
	loop->fetched = 0;
	return 0;
}

int evloop_run(struct evloop *loop)
{
	int rc = 0;

	enter(loop);
	while (rc == 0 && !atomic_exchange(&loop->stop, false))
		rc = wait_and_dispatch(loop, -1);
	leave(loop);
	return rc;
}

int evloop_once(struct evloop *loop, int timeout_ms)
{
	int rc;

	enter(loop);
	rc = wait_and_dispatch(loop, timeout_ms);
	leave(loop);
	return rc;
}

void evloop_stop(struct evloop *loop)
{
	atomic_store(&loop->stop, true);
	wake(loop);
}

int evsource_add(struct evloop *loop, struct evsource *src, int fd,
		 uint32_t events, void (*ready)(struct evsource *, uint32_t))
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	*src = (struct evsource){.fd = -1, .ready = ready};
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	src->fd = fd;
	src->events = events;
	src->loop = loop;
	return 0;
}

int evsource_modify(struct evsource *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	if (!src->loop)
		return -ENOENT;
	if (epoll_ctl(src->loop->epfd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return -errno;
	src->events = events;
	return 0;
}

void evsource_del(struct evsource *src)
{
	struct evloop *loop = src->loop;

	if (!loop)
		return;
	/* Fails when the owner closed fd first; then epoll forgot it too,
	 * unless a duplicate of fd is open, which would be a defect. */
	if (epoll_ctl(loop->epfd, EPOLL_CTL_DEL, src->fd, NULL) < 0)
		BUG_ON(errno != EBADF && errno != ENOENT);
	for (int i = loop->next; i < loop->fetched; i++)
		if (loop->batch[i].data.ptr == src)
			loop->batch[i].data.ptr = NULL;
	src->fd = -1;
	src->loop = NULL;
}

void evsource_close(struct evsource *src)
{
	int fd = src->fd;

	if (!src->loop)
		return;
	evsource_del(src);
	close(fd);
}

static void timer_ready(struct evsource *src, uint32_t revents)
{
	struct evtimer *timer = container_of(src, struct evtimer, src);
	uint64_t count;

	/* EAGAIN: it was stopped or started anew after the fetch. */
	if (read(src->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		timer->expired(timer);
}

int evtimer_init(struct evloop *loop, struct evtimer *timer,
		 void (*expired)(struct evtimer *))
{
	int fd, rc;

	timer->expired = expired;
	timer->src = (struct evsource){.fd = -1};
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = evsource_add(loop, &timer->src, fd, EPOLLIN, timer_ready);
	if (rc < 0)
		close(fd);
	return rc;
}

static void timer_set(struct evtimer *timer, uint64_t ms, long ns)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(ms / 1000),
			     .tv_nsec = (long)(ms % 1000) * 1000000 + ns},
	};

	BUG_ON(timerfd_settime(timer->src.fd, 0, &when, NULL) < 0);
}

void evtimer_start(struct evtimer *timer, uint64_t ms)
{
	BUG_ON(!timer->src.loop);
	/* A value of zero would disarm it. */
	timer_set(timer, ms, ms == 0 ? 1 : 0);
}

void evtimer_stop(struct evtimer *timer)
{
	if (timer->src.loop)
		timer_set(timer, 0, 0);
}

void evtimer_release(struct evtimer *timer)
{
	int fd = timer->src.fd;

	if (!timer->src.loop)
		return;
	evsource_del(&timer->src);
	close(fd);
}

/* Under the lock. True: the loop must be woken. */
static bool append(struct evloop *loop, struct evpost *post)
{
	bool first = !loop->posts;

	post->next = NULL;
	*loop->posts_end = post;
	loop->posts_end = &post->next;
	return first;
}

void evloop_post(struct evloop *loop, struct evpost *post)
{
	bool first;

	pthread_mutex_lock(&loop->lock);
	first = append(loop, post);
	/* Under the lock: once it is released, the post may run and free the
	 * loop's owner. */
	if (first)
		wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void run_call(struct evpost *post)
{
	struct call *call = container_of(post, struct call, post);
	struct evloop *loop = call->loop;

	call->fn(call->arg);
	pthread_mutex_lock(&loop->lock);
	call->done = true;
	pthread_cond_broadcast(&loop->called);
	pthread_mutex_unlock(&loop->lock);
}

void evloop_call(struct evloop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = {
		.post.run = run_call,
		.loop = loop,
		.fn = fn,
		.arg = arg,
	};

	pthread_mutex_lock(&loop->lock);
	if (!loop->running || pthread_equal(loop->thread, pthread_self())) {
		pthread_mutex_unlock(&loop->lock);
		fn(arg);
		return;
	}
	if (append(loop, &call.post))
		wake(loop);
	while (!call.done)
		pthread_cond_wait(&loop->called, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
}

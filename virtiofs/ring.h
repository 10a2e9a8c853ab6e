/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_RING_H
#define VIRTIOFS_RING_H

/*
 * A queue of the device that several threads serve, after the pattern of
 * leader and followers: one of them at a time, the leader, takes requests from
 * the ring, and the driver's kicks are off meanwhile. Before it works on one
 * that may wait it passes the lead on, to whoever comes at the next kick; when
 * it is done with that, it leads again, unless somebody does.
 *
 *	fs_ring_enter			the caller leads
 *	    fs_ring_pop, fs_ring_push, fs_ring_signal, fs_ring_pending
 *	    fs_ring_pass		the caller leads no more
 *	        fs_ring_finish		it leads again, or has left
 *	    fs_ring_rest		it has left, unless there is more
 *	    fs_ring_leave		it has left
 *	    fs_ring_abandon		it has left what there is to others
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vmm/virtio/device.h"

struct fs_ring {
	struct virtio_device *dev;
	unsigned q;
	/*
	 * Threads of which each looks at this ring whenever it is done with
	 * something; 0: there are others to look at. When all of them are
	 * busy, kicks would wake nobody, and stay off.
	 */
	atomic_uint all;

	/* Guards dev->queues[q], but for what the leader alone changes (what
	 * is next to be popped), and the fields below. */
	pthread_mutex_t lock;
	pthread_cond_t left; /* nobody is there any more, of a closed ring */
	bool open;
	bool broken;
	bool led;
	unsigned busy; /* threads that entered and did not leave */
};

void fs_ring_init(struct fs_ring *ring, struct virtio_device *dev, unsigned q);
void fs_ring_release(struct fs_ring *ring);

/*
 * A ring is closed at first: nobody enters, and nothing can be popped. It is
 * opened once its queue was started, as often as anybody likes.
 */
void fs_ring_open(struct fs_ring *ring, unsigned all);
/* The device is at fault: closed until fs_ring_reset. */
void fs_ring_break(struct fs_ring *ring);
/* Closes it, and waits for those who are there to leave. */
void fs_ring_drain(struct fs_ring *ring);
/* Once all rings of the device were drained. */
void fs_ring_reset(struct fs_ring *ring);

enum fs_ring_entry {
	FS_RING_CLOSED,
	FS_RING_LED, /* by somebody else, who will see what there is */
	FS_RING_ENTERED,
};

enum fs_ring_entry fs_ring_enter(struct fs_ring *ring) MUST_CHECK;
/* As virtq_pop; -ECANCELED: the ring is closed. */
int fs_ring_pop(struct fs_ring *ring, struct virtq_chain *chain) MUST_CHECK;
bool fs_ring_pending(const struct fs_ring *ring);
/* signal: and tell the driver of it, and of those before. */
void fs_ring_push(struct fs_ring *ring, uint16_t head, uint32_t len,
		  bool signal);
void fs_ring_signal(struct fs_ring *ring);
/* The driver hears of what was pushed. True: there is more already, for which
 * somebody has to be called. */
bool fs_ring_pass(struct fs_ring *ring) MUST_CHECK;
/* After fs_ring_pass: pushes, signals. True: the caller leads again. */
bool fs_ring_finish(struct fs_ring *ring, uint16_t head,
		    uint32_t len) MUST_CHECK;
/* As the leader, of an empty ring. True: it is not, the caller leads on. */
bool fs_ring_rest(struct fs_ring *ring) MUST_CHECK;
/* As the leader of a closed ring, or as nobody. */
void fs_ring_leave(struct fs_ring *ring);
/* As the leader, with requests left, for which somebody has to be called.
 * unpop: the one last popped is among them. */
void fs_ring_abandon(struct fs_ring *ring, bool unpop);

#endif

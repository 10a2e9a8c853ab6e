/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_LINK_H
#define INTEGRATION_VIRTIOFS_HOSTILE_LINK_H

/*
 * A guest's memory and rings, without manners: any descriptor, in any order.
 * The server is another process, over vhost-user, or in this one: a device with
 * all its threads, or the server alone, without rings; or this is a real guest,
 * and the device that of its machine (hostile_driver.h). What the
 * server does wrong, not to answer among it, is the end of the program.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtiofs/virtiofs.h"

#define LINK_HIPRIO 0u
#define LINK_REQUESTS 1u
#define LINK_REQUEST_QUEUES 3u /* from LINK_REQUESTS on */
#define LINK_QUEUES (LINK_REQUESTS + LINK_REQUEST_QUEUES)
#define LINK_RING 512u
/* Chains under way at once, and descriptors of each. */
#define LINK_SLOTS 8u
#define LINK_SEGS (LINK_RING / LINK_SLOTS)
/* Addresses of the guest from 0; the rings lie at the end. */
#define LINK_MEMORY (8u << 20)
#define LINK_RINGS (1u << 20)

struct vring_desc;

struct link_seg {
	uint64_t at;
	uint32_t len;
	bool writable;
};

/* "hostile: WHAT: ERRNO'S TEXT", and the end. */
void link_die(const char *what) __attribute__((noreturn));

void link_connect(const char *path);
/* A server of this process, without rings. */
void link_serve(const struct virtiofs_config *config);
/* A device of this process. */
void link_plug(const struct virtiofs_config *config);
/* Rings and connection anew, as a guest that boots again. */
void link_again(void);
/* There are no rings. */
bool link_is_local(void);

extern uint8_t *link_memory;

/* One chain, in a slot that is free. */
void link_submit(unsigned queue, unsigned slot, const struct link_seg *segs,
		 unsigned n);

/* What a descriptor says of link_memory + at, and where memory ends. */
uint64_t link_address(uint64_t at);
uint64_t link_end(void);

/* True: a slot came back, with that many bytes said to be written. False: the
 * device faulted, and takes nothing more until link_again(). */
bool link_next(unsigned queue, unsigned *slot, uint32_t *len);

/* Not without rings: descriptors as they are, and heads as they are. */
struct vring_desc *link_desc(unsigned queue);
void link_push(unsigned queue, uint16_t head, uint16_t advance);
/* A chain as link_submit() makes it. */
void link_chain(unsigned queue, unsigned slot, const struct link_seg *segs,
		unsigned n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rings that hold whatever the input says. What comes out must lie in RAM and
 * in the promised order, whatever was promised by the guest.
 *
 * Input: size and features, then the rings as raw bytes; between two pops the
 * guest overwrites part of them with more input.
 */

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/core/guestmem.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/queue.h"

#define GPA 0x10000ull
#define RAM 0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t ram[RAM];
static struct virtq_chain chain;

static void check_chain(const struct virtq *q)
{
	size_t read_len = 0;
	size_t write_len = 0;
	unsigned n = chain.nread + chain.nwrite;
	unsigned i;

	BUG_ON(n == 0 || n > q->size || chain.head >= q->size);
	for (i = 0; i < n; i++) {
		const uint8_t *base = chain.iov[i].iov_base;
		size_t len = chain.iov[i].iov_len;

		BUG_ON(base < ram || base >= ram + RAM || len == 0);
		BUG_ON(len > (size_t)(ram + RAM - base));
		if (i < chain.nread)
			read_len += len;
		else
			write_len += len;
	}
	BUG_ON(read_len != chain.read_len || write_len != chain.write_len);
}

static size_t scribble(const uint8_t *data, size_t size)
{
	size_t at;
	size_t n;

	if (size < 3)
		return size;
	at = (size_t)(data[0] | data[1] << 8) % RAM;
	n = MIN((size_t)data[2], MIN(size - 3, RAM - at));
	memcpy(ram + at, data + 3, n);
	return n + 3;
}

static void serve(struct virtq *q, const uint8_t *data, size_t size)
{
	uint8_t buf[64];
	size_t used;

	do {
		unsigned budget = 2 * VIRTQ_SIZE_MAX;

		virtq_disable_kick(q);
		while (budget-- > 0 && virtq_pop(q, &chain) > 0) {
			check_chain(q);
			if (budget % 8 == 7) {
				virtq_unpop(q);
				BUG_ON(q->inflight == q->size);
				continue;
			}
			virtq_chain_read(&chain, budget % 16, buf, sizeof(buf));
			virtq_chain_write(&chain, budget % 16, buf,
					  budget % 32 ? 1 : sizeof(buf));
			virtq_push(q, chain.head, (uint32_t)chain.write_len);
		}
		virtq_wants_signal(q);
		virtq_enable_kick(q);
		used = scribble(data, size);
		data += used;
		size -= used;
	} while (size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtq q = {0};
	struct guestmem mem;
	size_t n;

	if (size < 8)
		return 0;
	memset(ram, 0, sizeof(ram));
	guestmem_init(&mem);
	BUG_ON(guestmem_add_borrowed(&mem, GPA, ram, RAM / 2) < 0);
	BUG_ON(guestmem_add_borrowed(&mem, GPA + RAM / 2, ram + RAM / 2,
				     RAM / 2) < 0);
	q.size = data[0] & 0x80 ? (uint16_t)(data[0] << 4)
				: (uint16_t)(1u << (data[0] % 9));
	q.desc_gpa = GPA + data[2] * 16u;
	q.avail_gpa = GPA + 0x1000 + data[3] * 2u;
	q.used_gpa = GPA + 0x2000 + data[4] * 4u;
	q.resume = data[1] & 1;
	q.base = (uint16_t)(data[5] | data[6] << 8);
	n = MIN(size - 8, (size_t)data[7] * 64);
	memcpy(ram, data + 8, n);
	if (virtq_start(&q, &mem,
			(data[1] & 2 ? VIRTIO_RING_F_INDIRECT_DESC : 0) |
				(data[1] & 4 ? VIRTIO_RING_F_EVENT_IDX : 0)) <
	    0)
		return 0;
	serve(&q, data + 8 + n, size - 8 - n);
	return 0;
}

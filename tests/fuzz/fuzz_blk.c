/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests of a block device: header, segments and data as the input says,
 * on a small image. The image must keep its size, a read-only one its bytes.
 *
 * Input: flags, then requests: shape, three lengths, header and data.
 */

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/virtio/blk_request.h"

#define SECTORS 8u
#define IMAGE (SECTORS * BLK_SECTOR)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[4 * BLK_SECTOR + 16];
static struct virtq_chain chain;

static void add(size_t *at, size_t len, bool write)
{
	unsigned n = chain.nread + chain.nwrite;

	len = MIN(len, sizeof(buffer) - *at);
	if (len == 0)
		return;
	chain.iov[n].iov_base = buffer + *at;
	chain.iov[n].iov_len = len;
	*at += len;
	if (write) {
		chain.nwrite++;
		chain.write_len += len;
	} else {
		chain.nread++;
		chain.read_len += len;
	}
}

/* Bytes of input used. */
static size_t request(const struct blk_image *image, const uint8_t *data,
		      size_t size)
{
	uint8_t shape = data[0];
	size_t n = MIN(size - 7, (size_t)40);
	size_t at = 0;
	uint32_t used = 0;
	size_t write_len;
	unsigned i;

	memset(&chain, 0, sizeof(chain));
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, data + 7, n);
	for (i = 0; i < 3; i++) {
		size_t len = (size_t)(data[1 + 2 * i] | data[2 + 2 * i] << 8);

		add(&at, len % sizeof(buffer),
		    chain.nwrite > 0 || (shape >> i & 1));
	}
	write_len = chain.write_len;
	if (blk_execute(image, &chain, &used) == 0)
		BUG_ON(used == 0 || used > write_len);
	return 7 + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[IMAGE];
	static uint8_t after[IMAGE];
	static int fd = -1;
	struct blk_image image = {.sectors = SECTORS, .serial = "fuzz"};
	struct stat st;

	if (fd < 0) {
		fd = memfd_create("image", MFD_CLOEXEC);
		memset(before, 0x5a, sizeof(before));
		BUG_ON(fd < 0 || ftruncate(fd, IMAGE + 100) < 0);
	}
	if (size < 1)
		return 0;
	image.fd = fd;
	image.readonly = data[0] & 1;
	image.may_discard = !image.readonly && (data[0] & 2);
	image.may_zero = !image.readonly && (data[0] & 4);
	image.write_through = data[0] & 8;
	BUG_ON(pwrite(fd, before, IMAGE, 0) != IMAGE);
	data++;
	size--;
	while (size >= 7) {
		size_t n = request(&image, data, size);

		data += n;
		size -= n;
	}
	BUG_ON(fstat(fd, &st) < 0 || st.st_size != IMAGE + 100);
	if (image.readonly) {
		BUG_ON(pread(fd, after, IMAGE, 0) != IMAGE);
		BUG_ON(memcmp(before, after, IMAGE) != 0);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/blk_request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"

enum blk_type {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};

enum blk_status {
	BLK_S_OK = 0,
	BLK_S_IOERR = 1,
	BLK_S_UNSUPP = 2,
};

struct blk_header {
	le32 type;
	le32 reserved;
	le64 sector;
};

struct blk_range {
	le64 sector;
	le32 sectors;
	le32 flags;
};

#define BLK_RANGE_F_UNMAP 1u

/* What is between header and status. */
struct blk_data {
	struct iovec *iov;
	unsigned n;
	size_t len;
};

static bool in_image(const struct blk_image *image, uint64_t sector,
		     uint64_t count)
{
	return sector <= image->sectors && count <= image->sectors - sector;
}

/* Drops the first `len` bytes, which are there. */
static void advance(struct blk_data *data, size_t len)
{
	data->len -= len;
	while (len > 0) {
		size_t part = MIN(len, data->iov->iov_len);

		data->iov->iov_base = (uint8_t *)data->iov->iov_base + part;
		data->iov->iov_len -= part;
		len -= part;
		if (data->iov->iov_len == 0) {
			data->iov++;
			data->n--;
		}
	}
}

/* The readable part without the header. */
static struct blk_data data_out(struct virtq_chain *chain)
{
	struct blk_data data = {chain->iov, chain->nread, chain->read_len};

	advance(&data, sizeof(struct blk_header));
	return data;
}

/* The writable part without the status byte. */
static struct blk_data data_in(struct virtq_chain *chain)
{
	struct blk_data data = {chain->iov + chain->nread, chain->nwrite,
				chain->write_len - 1};
	struct iovec *last = &data.iov[data.n - 1];

	if (--last->iov_len == 0)
		data.n--;
	return data;
}

/* Moves all of data; false: an error, or an image that became shorter. */
static bool transfer(const struct blk_image *image, struct blk_data data,
		     uint64_t pos, bool write)
{
	while (data.len > 0) {
		ssize_t n = write ? pwritev(image->fd, data.iov, (int)data.n,
					    (off_t)pos)
				  : preadv(image->fd, data.iov, (int)data.n,
					   (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		pos += (uint64_t)n;
		advance(&data, (size_t)n);
	}
	return true;
}

static enum blk_status flush(const struct blk_image *image)
{
	if (image->readonly)
		return BLK_S_OK;
	return fdatasync(image->fd) < 0 ? BLK_S_IOERR : BLK_S_OK;
}

static enum blk_status after_write(const struct blk_image *image)
{
	return image->write_through ? flush(image) : BLK_S_OK;
}

static enum blk_status read_write(const struct blk_image *image,
				  struct blk_data data, uint64_t sector,
				  bool write)
{
	if (write && image->readonly)
		return BLK_S_IOERR;
	if (data.len % BLK_SECTOR ||
	    !in_image(image, sector, data.len / BLK_SECTOR))
		return BLK_S_IOERR;
	/* in_image: the product is at most the size of the image. */
	if (!transfer(image, data, sector * BLK_SECTOR, write))
		return BLK_S_IOERR;
	return write ? after_write(image) : BLK_S_OK;
}

static bool write_zeroes(const struct blk_image *image, uint64_t pos,
			 uint64_t len)
{
	static const uint8_t zeroes[64 << 10];

	while (len > 0) {
		size_t part = (size_t)MIN(len, (uint64_t)sizeof(zeroes));
		ssize_t n = pwrite(image->fd, zeroes, part, (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		pos += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

static enum blk_status clear(const struct blk_image *image, uint32_t type,
			     uint32_t flags, uint64_t pos, uint64_t len)
{
	bool discard = type == BLK_T_DISCARD;
	bool punch = discard || (flags & BLK_RANGE_F_UNMAP);
	int mode = FALLOC_FL_KEEP_SIZE |
		   (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (len == 0)
		return BLK_S_OK;
	if (fallocate(image->fd, mode, (off_t)pos, (off_t)len) == 0)
		return after_write(image);
	if (errno != EOPNOTSUPP)
		return BLK_S_IOERR;
	if (discard)
		return BLK_S_UNSUPP;
	return write_zeroes(image, pos, len) ? after_write(image) : BLK_S_IOERR;
}

static enum blk_status discard(const struct blk_image *image, uint32_t type,
			       const struct virtq_chain *chain)
{
	bool zero = type == BLK_T_WRITE_ZEROES;
	uint32_t max = zero ? BLK_ZERO_SECTORS_MAX : BLK_DISCARD_SECTORS_MAX;
	struct blk_range range;
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;

	if (!(zero ? image->may_zero : image->may_discard))
		return BLK_S_UNSUPP;
	if (chain->read_len != sizeof(struct blk_header) + sizeof(range))
		return BLK_S_IOERR;
	virtq_chain_read(chain, sizeof(struct blk_header), &range,
			 sizeof(range));
	sector = le64_get(range.sector);
	sectors = le32_get(range.sectors);
	flags = le32_get(range.flags);
	/* 5.2.6.2: unmap belongs to WRITE_ZEROES; the rest is reserved. */
	if (flags & ~(zero ? BLK_RANGE_F_UNMAP : 0))
		return BLK_S_UNSUPP;
	if (sectors > max || !in_image(image, sector, sectors))
		return BLK_S_IOERR;
	return clear(image, type, flags, sector * BLK_SECTOR,
		     (uint64_t)sectors * BLK_SECTOR);
}

static uint32_t get_id(const struct blk_image *image,
		       const struct virtq_chain *chain)
{
	size_t room = MIN(chain->write_len - 1, sizeof(image->serial));

	return (uint32_t)virtq_chain_write(chain, 0, image->serial, room);
}

static enum blk_status dispatch(const struct blk_image *image,
				struct virtq_chain *chain,
				const struct blk_header *header, uint32_t *used)
{
	uint32_t type = le32_get(header->type);
	uint64_t sector = le64_get(header->sector);
	uint32_t written = (uint32_t)chain->write_len;
	enum blk_status status;

	switch (type) {
	case BLK_T_IN:
		status = read_write(image, data_in(chain), sector, false);
		if (status == BLK_S_OK)
			*used = written;
		return status;
	case BLK_T_OUT:
		return read_write(image, data_out(chain), sector, true);
	case BLK_T_FLUSH:
		return flush(image);
	case BLK_T_GET_ID:
		*used += get_id(image, chain);
		return BLK_S_OK;
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES:
		return discard(image, type, chain);
	default:
		return BLK_S_UNSUPP;
	}
}

int blk_execute(const struct blk_image *image, struct virtq_chain *chain,
		uint32_t *used)
{
	struct blk_header header;
	struct iovec *last;
	uint8_t *status;

	if (chain->read_len < sizeof(header) || chain->write_len < 1)
		return -EPROTO;
	virtq_chain_read(chain, 0, &header, sizeof(header));
	/* Looked up before data_in() trims the last segment. */
	last = &chain->iov[chain->nread + chain->nwrite - 1];
	status = (uint8_t *)last->iov_base + (last->iov_len - 1);

	*used = 1;
	*status = (uint8_t)dispatch(image, chain, &header, used);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

/* Whole files and whole transfers. Leaf functions: 0 or -errno. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/* Reads exactly len bytes; -EPIPE on an early end. Retries EINTR. */
int read_full(int fd, void *buf, size_t len) MUST_CHECK;
int write_full(int fd, const void *buf, size_t len) MUST_CHECK;
/* The whole of a file, NUL-terminated, at most max bytes (-EFBIG). Caller
 * frees *out. dirfd as in openat(2). len may be NULL. */
int file_read(int dirfd, const char *path, size_t max, char **out,
	      size_t *len) MUST_CHECK;
/* The same, from where fd stands. */
int file_read_fd(int fd, size_t max, char **out, size_t *len) MUST_CHECK;
/* Writes a temporary file beside path, fsyncs nothing, renames over it. */
int file_replace(int dirfd, const char *path, const void *data, size_t len,
		 mode_t mode) MUST_CHECK;
/* One write(2) to an existing file, as procfs and cgroupfs want it. */
int file_write(int dirfd, const char *path, const char *text) MUST_CHECK;
int mkdir_all(const char *path, mode_t mode) MUST_CHECK;
/* Removes a file or directory tree without following links or crossing mounts
 * (-EBUSY at the first one). 0 as well when there is nothing. */
int remove_tree(int dirfd, const char *path) MUST_CHECK;

#endif

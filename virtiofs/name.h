/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_NAME_H
#define VIRTIOFS_NAME_H

/* Names from the guest, and the two ways from a name or an inode to a file. */

#include "virtiofs/server.h"

/* Not empty, ".", ".." or longer than FS_NAME_MAX; no '/'. 0 or -errno. */
int fs_name_check(const char *name) MUST_CHECK;
/* The string at *pos of the arguments; *pos moves behind its NUL. */
int fs_take_string(const struct fs_req *req, size_t *pos,
		   const char **out) MUST_CHECK;
/* The same, checked as a name. */
int fs_take_name(const struct fs_req *req, size_t *pos,
		 const char **name) MUST_CHECK;

/* An O_PATH descriptor of name in the directory, never followed. */
int fs_open_path(int dirfd, const char *name) MUST_CHECK;
/* The same from the host's cache alone, or -EAGAIN. */
int fs_open_cached(int dirfd, const char *name) MUST_CHECK;
/*
 * An O_PATH descriptor becomes one for I/O, through the proc directory. Only
 * regular files and directories are opened; the rest is -ENXIO, links -ELOOP.
 */
int fs_reopen(struct virtiofs *fs, const struct fs_inode *inode,
	      int flags) MUST_CHECK;
/* The O_PATH descriptor of an open file. */
int fs_path_of(int fd) MUST_CHECK;
#define FS_PROC_NAME_MAX 16
/* The name of fd in the proc directory. */
void fs_proc_name(int fd, char name[FS_PROC_NAME_MAX]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_CONFORM_H
#define INTEGRATION_VIRTIOFS_CONFORM_H

/*
 * A case is a few calls in an empty directory, which is the working directory.
 * What they return goes into a trace; the traces of two file systems are
 * compared. A group makes many cases by an index.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_MAX 8192u

struct trial {
	char label[160];
	char trace[TRACE_MAX];
	size_t len;
};

struct case_group {
	const char *name;
	unsigned count;
	void (*run)(struct trial *t, unsigned i);
};

/* What the case is, for the report. */
void label(struct trial *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of the trace. */
void note(struct trial *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The result of a call: its value, or the name of errno. Returns it. */
long ret(struct trial *t, const char *what, long value);
/* Only whether it failed, and how: for descriptors. */
int fd_ret(struct trial *t, const char *what, int fd);
/* Type, mode, links, owner and size of a name (not of a directory's size). */
void look(struct trial *t, const char *path);
void look_fd(struct trial *t, int fd);
/* The content of a file as text (up to 200 bytes) and its hash. */
void content(struct trial *t, const char *path);
/* The names in a directory, sorted. */
void list(struct trial *t, const char *path);

enum kind {
	KIND_NONE,
	KIND_FILE, /* "hello", 0644 */
	KIND_READONLY,
	KIND_DIR,
	KIND_FULL_DIR,
	KIND_LINK_FILE, /* to a file beside it */
	KIND_LINK_DIR,
	KIND_LINK_NONE, /* dangling */
	KIND_LINK_LOOP,
	KIND_FIFO,
	KIND_SOCKET,
	KINDS,
};

const char *kind_name(unsigned kind);
void make(struct trial *t, const char *name, unsigned kind);
void put(struct trial *t, const char *name, const char *text, mode_t mode);

/* What another process sees; it ends with what run returns. -1: it was
 * killed. */
int in_child(int (*run)(void *arg), void *arg);
/* 0, an errno, or -1. */
void note_child(struct trial *t, const char *what, int result);

/* Both file systems have extended attributes. */
extern bool have_xattr;

extern const struct case_group conform_open_groups[];
extern const struct case_group conform_names_groups[];
extern const struct case_group conform_data_groups[];
extern const struct case_group conform_ids_groups[];
extern const struct case_group conform_acl_groups[];
extern const struct case_group conform_locks_groups[];
extern const struct case_group conform_leases_groups[];
extern const struct case_group conform_flags_groups[];
extern const struct case_group conform_fs_groups[];

#endif

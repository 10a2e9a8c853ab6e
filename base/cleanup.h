/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

/*
 * Scope-bound ownership. AUTO_FREE frees a heap pointer and AUTO_FD closes a
 * descriptor at the end of its scope; steal_ptr and steal_fd move the value
 * out, so that the scope no longer owns it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <dirent.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_FD __attribute__((cleanup(cleanup_fd)))
#define AUTO_FILE __attribute__((cleanup(cleanup_file)))
#define AUTO_DIR __attribute__((cleanup(cleanup_dir)))
/* AUTO(fn): fn takes a pointer to the variable. */
#define AUTO(fn) __attribute__((cleanup(fn)))

#define steal_ptr(pp)                              \
	__extension__({                            \
		__typeof__(*(pp)) stolen_ = *(pp); \
		*(pp) = NULL;                      \
		stolen_;                           \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif

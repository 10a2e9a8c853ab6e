/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define PACKED __attribute__((packed))

#define ARRAY_SIZE(a)                                                        \
	(sizeof(a) / sizeof((a)[0]) +                                        \
	 0 * sizeof(struct {                                                 \
		 _Static_assert(!__builtin_types_compatible_p(               \
					__typeof__(a), __typeof__(&(a)[0])), \
				"not an array");                             \
	 }))

#define container_of(ptr, type, member)                                   \
	((type *)(void *)((char *)(1 ? (ptr) : &((type *)NULL)->member) - \
			  offsetof(type, member)))

#define MIN(a, b)                                  \
	__extension__({                            \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	__extension__({                            \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

#endif

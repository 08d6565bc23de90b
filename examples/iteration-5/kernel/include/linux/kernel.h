/*
 * What this tree needs of the kernel's own library. It runs as one thread of
 * one process, so a lock has nothing to do.
 */
#ifndef _LINUX_KERNEL_H
#define _LINUX_KERNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef struct { int unused; } spinlock_t;
#define spin_lock_init(lock)	((void)(lock))

typedef struct { s64 counter; } atomic64_t;
#define atomic64_set(v, i)	((v)->counter = (i))
#define atomic64_inc_return(v)	(++(v)->counter)

#define GFP_KERNEL		0
#define kzalloc(size, gfp)	calloc(1, size)
#define kfree(p)		free(p)

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define BUG_ON(cond) do {						\
	if (cond) {							\
		fprintf(stderr, "kernel BUG in %s: %s\n", __func__, #cond); \
		abort();						\
	}								\
} while (0)

#define EXPORT_SYMBOL_GPL(sym)	extern typeof(sym) sym
#define MODULE_INFO(tag, info)						\
	static const char __modinfo_##tag[]				\
	__attribute__((section(".modinfo"), used)) = #tag "=" info

#endif

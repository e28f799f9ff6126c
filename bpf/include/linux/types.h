/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's integer types, under their two names: __u32 where user space
 * sees the structure too, u32 inside the kernel.
 */
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

/* Numbers in network byte order; the kernel marks them for its checker. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

typedef __SIZE_TYPE__ size_t;
typedef long ssize_t;
typedef _Bool bool;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

typedef int pid_t;
typedef unsigned short umode_t;
typedef u32 dev_t;
typedef long long loff_t;

typedef unsigned long uintptr_t;

enum { false = 0, true = 1 };

#define __always_inline inline __attribute__((always_inline))
#define NULL ((void *)0)
#define __aligned_u64 __u64 __attribute__((aligned(8)))

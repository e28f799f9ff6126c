/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What ebpf-mallocstacks keeps: both dialects and the Python side read it. */
#pragma once

/* The kernel walks at most so many frames of a stack
 * (sysctl kernel.perf_event_max_stack).
 */
#define MAX_FRAMES 127

/* This bit in stack_key.stack says of which map it is. */
#define BY_HASH (1ULL << 63)

/* How long a stack is new. Two threads may find a slot of `stack_traces` free
 * at the same time; the later one's stack stays, and the id that the earlier
 * one got leads to it. The later one may be late by an interrupt, or by the
 * turn of another thread, but not by so much.
 */
#define NEW_NS 100000000ULL

/* Names a stack: a key into `totals`. */
struct stack_key {
	__u64 stack;	/* an id of `stack_traces`, or a key of `stacks` */
	__u64 caller;	/* where the function that allocates returns to */
};

/* What was allocated at one stack. */
struct total {
	__u64 bytes;
	__u64 calls;
};

/* A call stack. Behind the last frame come zeros. */
struct stack {
	__u64 frames[MAX_FRAMES];
};

/* The same in `stacks`. */
struct kept_stack {
	__u64 frames[MAX_FRAMES];
	__u64 since_ns;	/* when it came first, since boot */
	__s64 number;	/* its id in `stack_traces`, once that is used; or -1 */
};

/* Whether the stack of an allocation is recorded, or why not. Allocations that
 * no stack of `totals` accounts for are counted in `apart`, by this index.
 */
enum {
	RECORDED,
	NO_USER_STACK,	/* the kernel could not read the stack */
	MAP_FULL,	/* there are more stacks than the maps have entries */
	OUTCOMES,
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What ebpf-mallocstacks keeps: both dialects and the Python side read it. */
#pragma once

/* The kernel walks at most so many frames of a stack
 * (sysctl kernel.perf_event_max_stack).
 */
#define MAX_FRAMES 127

/* This bit in stack_key.stack says which map the stack stands in. */
#define IN_COLLIDED (1ULL << 63)

/* A call stack: a key into `totals`. */
struct stack_key {
	__u64 stack;	/* an id of `stack_traces`, or a key of `collided` */
	__u64 caller;	/* where the function that allocates returns to */
};

/* What was allocated at one stack. */
struct total {
	__u64 bytes;
	__u64 calls;
};

/* A stack that found its place in `stack_traces` taken. Behind the last frame
 * come zeros.
 */
struct stack {
	__u64 frames[MAX_FRAMES];
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

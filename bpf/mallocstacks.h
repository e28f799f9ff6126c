/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What ebpf-mallocstacks counts: both dialects and the Python side use it. */
#pragma once

/* The kernel takes at most this many frames of a stack
 * (sysctl kernel.perf_event_max_stack).
 */
#define MAX_FRAMES 127
#define FEW_FRAMES 30

/* A call stack: the key of `deep_totals`. */
struct stack {
	__u64 program;			/* what the process ran: lib/program.bpf.h */
	__u64 caller;			/* where the function returns to */
	__u64 frames[MAX_FRAMES];	/* innermost first, then zeros */
};

/* The beginning of a stack, or all of a short one: the key of `totals`. */
struct short_stack {
	__u64 program;
	__u64 caller;
	__u64 frames[FEW_FRAMES];
};

/* What was allocated at one stack. */
struct total {
	__u64 bytes;
	__u64 calls;
};

/* Why a call has no stack: the index of `unattributed`. */
enum {
	NO_SCRATCH,	/* no slot of `scratch` was free */
	NO_USER_STACK,	/* the kernel could not read the stack */
	MAP_FULL,	/* there are more stacks than entries */
	REASONS,
};

/* Scratch space for a program while it runs. */
#define SLOTS 8

struct slot {
	__u64 users;	/* 0 or 1; more for a moment if a user is preempted */
	struct stack stack;
};

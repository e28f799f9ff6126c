/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps' keys and values. */
#pragma once

#define TASK_COMM_LEN 16
#define MAX_FRAMES 127	/* the kernel records at most this many */

/* Whose sample it is. A stack is its ID in the map stacks, or a negative errno. */
struct sample {
	__u64 program;	/* what the process ran: lib/program.bpf.h */
	__u32 pid;
	__s32 kernel_stack;
	__s32 user_stack;
	__u32 unused;	/* 0: a hash compares the padding of its keys, too */
	char comm[TASK_COMM_LEN];	/* the thread's name */
};

/* The addresses, innermost first; zeros after the last one. */
struct stack {
	__u64 ip[MAX_FRAMES];
};

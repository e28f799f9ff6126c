/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program writes for each thread. */
#pragma once

#define TASK_COMM_LEN 16
#define MAX_FRAMES 32	/* of a stack of the kernel: what a program has room for */

struct event {
	__s32 pid;
	__s32 tid;
	__s32 ppid;
	__u32 state;
	__s32 kstack;	/* frames, or a negative errno */
	char comm[TASK_COMM_LEN];
};

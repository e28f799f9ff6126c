/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records that the programs write. */
#pragma once

#define TASK_COMM_LEN 16
#define PATH_BYTES 4096	/* as the kernel's PATH_MAX */
#define MAX_FRAMES 32	/* of a kernel stack: what fits on a program's own */

/* For each thread. */
struct event {
	__s32 pid;
	__s32 tid;
	__s32 ppid;
	__u32 state;
	__s32 kstack;	/* frames, or a negative errno */
	char comm[TASK_COMM_LEN];
};

/* For each open file, with --files. */
struct open_file {
	__s32 pid;
	__s32 tid;
	__s32 fd;
	__s32 length;	/* of the path with its NUL, or a negative errno */
	char comm[TASK_COMM_LEN];
	char path[PATH_BYTES];
};

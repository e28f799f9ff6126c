/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16
#define NAME_LEN 255		/* the longest name that a directory can have */
#define PATH_LEN 4096		/* the longest path, with the NUL */
#define SCRATCH_SLOTS 2		/* a slot for each system call */

struct event {
	__u64 time_ns;		/* since boot, when the call began */
	__s32 pid;
	__u32 mode;		/* requested permissions, less the umask */
	__s32 error;		/* 0, or the errno of a call that failed */
	__s32 path_length;	/* negative if the path could not be read */
	char comm[TASK_COMM_LEN];	/* the thread's name, */
	char process_comm[TASK_COMM_LEN];	/* and its process's */
	char path[PATH_LEN];	/* or only the name; the rest is not sent */
};

/* What we remember of a call until it ends. */
struct call {
	__u64 time_ns;
	__u64 frame;		/* address of the function's stack frame */
	__u64 path;		/* tracepoint: address of the caller's path */
	__u32 mode;
	__u32 slot;		/* of the scratch space, from 0 */
	char name[NAME_LEN + 1];	/* kprobe, fentry: the name itself */
};

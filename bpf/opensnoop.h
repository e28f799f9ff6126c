/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16
#define PATH_LEN 4096		/* the longest path, with the NUL */
#define SCRATCH_SLOTS 5		/* a slot for each system call */

enum call_kind {
	CALL_OPEN,
	CALL_OPENAT,
	CALL_OPENAT2,
	CALL_CREAT,
	CALL_OPEN_BY_HANDLE_AT,
};

struct event {
	__u64 time_ns;		/* since boot, when the call ended */
	__u64 flags;		/* O_RDONLY and so on, as in open(2) */
	__s32 pid;
	__s32 tid;
	__s32 ppid;
	__u32 uid;
	__s32 dirfd;		/* what a relative path starts from */
	__s32 ret;		/* the new descriptor, or a negative errno */
	__u32 mode;		/* of a file to create */
	__s32 flags_error;	/* not 0 if flags and mode could not be read */
	__s32 path_length;	/* negative if the path could not be read */
	__u32 kind;		/* enum call_kind */
	char comm[TASK_COMM_LEN];	/* the thread's name, */
	char process_comm[TASK_COMM_LEN];	/* and its process's */
	char path[PATH_LEN];	/* only sent up to its end */
};

/* What we remember of a call until it ends. */
struct call {
	__u64 path;		/* address of the caller's path */
	__u64 how;		/* openat2: address of its struct open_how */
	__u64 flags;		/* the others: the flags themselves */
	__u32 mode;
	__s32 dirfd;
	__u32 kind;		/* enum call_kind, and the slot of the scratch space */
	__u32 unused;		/* no byte may be undefined */
};

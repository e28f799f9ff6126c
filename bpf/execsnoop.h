/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16
#define PATH_LEN 4096		/* the longest path, with the NUL */
#define ARGS_LEN 12288		/* at most this much of the arguments is sent */
#define UNKNOWN 2		/* the kernel skipped begin_program() */
#define SCRATCH_SLOTS 2		/* a slot for each system call */

struct event {
	__u64 time_ns;		/* since boot, when the call ended */
	__s32 pid;
	__s32 ppid;
	__u32 uid;
	__s32 ret;		/* 0, or the negative errno of a call that failed */
	__s32 dirfd;		/* execveat: where a relative path starts */
	__u32 filename_bytes;	/* with the NUL; 0: could not be read */
	__u32 args_bytes;
	__u32 incomplete;	/* not all of the arguments were sent */
	__u32 interpreted;	/* another program runs the file, a script; or UNKNOWN */
	__u32 keeps_argv0;	/* and gets the caller's argv[0] after its name */
	char comm[TASK_COMM_LEN];	/* the thread's name, */
	char process_comm[TASK_COMM_LEN];	/* and its process's */
	/* The file name, then the arguments, each with a NUL at its end; only
	 * what is used is sent. The second ARGS_LEN is for the last argument,
	 * which is read whole and then cut.
	 */
	char text[PATH_LEN + ARGS_LEN + ARGS_LEN + 1];
};

/* What we remember of a call until it ends. */
struct call {
	__u64 mm;		/* address of the caller's memory map */
	__u64 filename;		/* addresses in it, */
	__u64 argv;		/* as the caller gave them */
	__s32 pid;
	__s32 dirfd;
	__u32 slot;		/* of the scratch space, from 0 */
	__u32 interpreted;	/* as in struct event */
	__u32 keeps_argv0;
};

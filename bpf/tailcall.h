/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16

/* Each program sets the members that its system call has arguments for. */
struct event {
	__u64 time_ns;		/* since boot */
	__s64 number;		/* of the system call */
	__s32 pid;		/* of the caller */
	__s32 process;		/* getpgid(2) and kill(2): the first argument */
	__s32 signal;		/* kill(2) */
	__u32 mask;		/* umask(2) */
	char comm[TASK_COMM_LEN];	/* the calling thread's name */
};

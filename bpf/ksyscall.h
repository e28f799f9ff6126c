/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16

struct event {
	__u64 time_ns;		/* since boot */
	__s32 pid;		/* who sends it */
	__s32 target;		/* as in kill(2): 0 and less are groups of processes */
	__s32 tid;		/* the thread that tgkill(2) names; 0 if it was kill(2) */
	__s32 signal;
	char comm[TASK_COMM_LEN];	/* the sending thread's name */
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16

struct event {
	__u64 time_ns;		/* since boot */
	__s32 pid;		/* the sender */
	__s32 target;		/* as in kill(2): 0 or below is a group of processes */
	__s32 tid;		/* tgkill(2): the thread; kill(2): 0 */
	__s32 signal;
	char comm[TASK_COMM_LEN];	/* the sending thread's name */
};

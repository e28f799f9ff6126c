/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16
#define NAME_LEN 256	/* the longest file name, with the NUL */

struct event {
	__u64 time_ns;		/* since boot */
	__s32 pid;
	__s32 refused;		/* the program's answer: 0, or 1 for EPERM */
	char comm[TASK_COMM_LEN];
	char name[NAME_LEN];
};

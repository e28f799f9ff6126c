/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What calls are counted by, and the key of the map. */
#pragma once

#define TASK_COMM_LEN 16

enum by {
	BY_SYSCALL,
	BY_PID,
	BY_COMM,
};

/* Members that we do not count by are 0. */
struct key {
	__s32 number;		/* of the system call */
	__u32 is_32bit;		/* of a 32-bit program, which has other numbers */
	__s32 pid;
	char comm[TASK_COMM_LEN];	/* with BY_PID, too, to be shown */
};

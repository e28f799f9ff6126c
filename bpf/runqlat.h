/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What to make a histogram of, and a histogram. */
#pragma once

#define TASK_COMM_LEN 16
#define SLOTS 36	/* the last one has all that waited longer: 2^35 us are 9 hours */

enum by {
	BY_NOTHING,
	BY_PID,
	BY_TID,
};

/* Slot n counts the waits of 2^n up to 2^(n+1) - 1; slot 0 has 0, too. */
struct histogram {
	__u64 slots[SLOTS];
	__u32 pid;
	char comm[TASK_COMM_LEN];	/* of the thread that came first */
	__u32 padding;
};

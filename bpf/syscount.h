/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What to count calls by, and the key of the map. */
#pragma once

#define TASK_COMM_LEN 16

enum by {
	BY_SYSCALL,
	BY_PID,
	BY_COMM,
	BY_ALL,		/* for -n: user space chooses, and adds up */
};

/* Members that we do not count by are 0. */
struct key {
	__s32 number;		/* of the system call */
	__u32 is_32bit;		/* by a 32-bit program, which has other numbers */
	__s32 pid;
	char comm[TASK_COMM_LEN];	/* also with BY_PID, to show it */
};

/* What to see of a call's return; else nobody waits for it. */
enum {
	ONLY_FAILED = 1,	/* count only calls that fail */
	LATENCY = 2,		/* add up the time */
};

/* A call in progress. */
struct call {
	__u64 since_ns;
	struct key key;
	__u32 unused;
};

/* Calls that took between 2^slot and 2^(slot + 1) microseconds. */
struct slot {
	struct key key;
	__u32 slot;
};

struct time {
	__u64 calls;
	__u64 ns;
};

struct process_name {
	char comm[TASK_COMM_LEN];
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16

enum event_kind {
	EVENT_NOW,	/* what the process is when we begin */
	EVENT_EXEC,
};

struct event {
	__u64 time_ns;		/* since boot */
	__u64 cgroup_id;
	__u32 kind;		/* enum event_kind */
	__s32 pid;		/* in the initial PID namespace */
	__s32 ppid;
	__s32 ns_pid;		/* in the process's own PID namespace */
	__s32 ns_ppid;		/* its parent there; 0: the parent is outside */
	__u32 uid;
	__u32 gid;
	/* The numbers of its namespaces; 0: it has none. */
	__u32 pid_ns;
	__u32 mnt_ns;
	__u32 net_ns;
	__u32 uts_ns;
	__u32 ipc_ns;
	__u32 user_ns;
	__u32 cgroup_ns;
	__u32 time_ns_id;	/* time_ns is the time */
	__u32 padding;
	char comm[TASK_COMM_LEN];
	char was[TASK_COMM_LEN];	/* its name before, empty if unknown */
};

/* What we remember of a process. */
struct past {
	__u64 start_time;	/* tells it from one that had its PID before */
	char comm[TASK_COMM_LEN];
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

#define TASK_COMM_LEN 16
#define MAX_FILENAME_LEN 127

enum event_kind {
	EVENT_EXEC,
	EVENT_EXIT,
};

struct event {
	__u64 time_ns;		/* since boot, of the event itself */
	__u64 duration_ns;	/* exit: how long the process lived */
	__u64 since_exec_ns;	/* exit: since its last exec, 0 if we saw none */
	__u32 kind;		/* enum event_kind */
	__s32 pid;
	__s32 ppid;
	__u32 exit_code;	/* exit: status << 8 | signal, as for wait(2) */
	__u32 truncated;	/* exec: whether the file's name is longer than filename */
	char comm[TASK_COMM_LEN];
	char filename[MAX_FILENAME_LEN + 1];	/* exec: what was executed */
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that ebpf-kprobe and ebpf-fentry send and read. */
#pragma once

#define TASK_COMM_LEN 16
#define PATH_LEN 4096	/* the kernel's longest path, with the NUL */

enum event_kind {
	EVENT_ENTRY,
	EVENT_RETURN,
};

struct event {
	__u64 time_ns;		/* since boot */
	__u32 kind;		/* enum event_kind */
	__s32 pid;
	__s32 dfd;		/* where a relative path starts: a directory, or AT_FDCWD */
	__s32 ret;		/* return: 0 or a negative errno */
	char comm[TASK_COMM_LEN];
	char path[PATH_LEN];	/* entry; the record of a return ends before it */
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that ebpf-uprobe and ebpf-usdt send and read. */
#pragma once

#define TASK_COMM_LEN 16
#define TEXT_LEN 128

struct event {
	__u64 time_ns;		/* since boot */
	__s64 value;		/* the first argument, or what the function returns */
	__s32 pid;
	__s32 text_bytes;	/* with the NUL; negative if value is not an address */
	__u8 returned;		/* uprobe: 0: it was called, 1: it returned */
	char comm[TASK_COMM_LEN];
	char text[TEXT_LEN];	/* what is at that address, if value is one */
};

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The value of the map, and the record that --connect sends. */
#pragma once

#define TASK_COMM_LEN 16

struct counts {
	__u64 packets;
	__u64 bytes;
};

struct event {
	__u64 time_ns;		/* since boot */
	__s32 pid;
	__u32 protocol;		/* IPPROTO_* */
	__u16 version;		/* of IP: 4 or 6 */
	__u16 port;
	__u32 refused;		/* the program's answer: 0, or 1 for EPERM */
	char address[16];	/* of IPv4, the first 4 bytes */
	char comm[TASK_COMM_LEN];
};

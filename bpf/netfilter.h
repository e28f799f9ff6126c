/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

struct event {
	__u64 time_ns;		/* since boot */
	__u32 bytes;		/* of the packet, from the IP header on */
	__u8 hook;		/* NF_INET_*: 0 prerouting, 1 input and so on */
	__u8 version;		/* of IP: 4 or 6 */
	__u8 protocol;		/* IPPROTO_* */
	__u8 dropped;
	char source[16];	/* addresses; of IPv4, the first 4 bytes */
	char destination[16];
};

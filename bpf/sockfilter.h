/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

struct event {
	__u64 time_ns;		/* since boot */
	__u32 bytes;		/* of the packet, with the Ethernet header */
	__u16 version;		/* of IP: 4 or 6 */
	__u16 protocol;		/* IPPROTO_* */
	__u16 source_port;
	__u16 destination_port;
	__u32 has_ports;	/* 0: ignore these two */
	char source[16];	/* addresses; of IPv4, the first 4 bytes */
	char destination[16];
};

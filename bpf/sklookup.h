/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

struct event {
	__u64 time_ns;		/* since boot */
	__u16 version;		/* of IP: 4 or 6 */
	__u16 protocol;		/* IPPROTO_TCP or IPPROTO_UDP */
	__u16 source_port;
	__u16 destination_port;
	char source[16];	/* addresses; of IPv4, the first 4 bytes */
	char destination[16];
	__u64 assigned;		/* 1: the program has named the socket */
};

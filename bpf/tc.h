/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the program sends and the tool reads. */
#pragma once

struct event {
	__u64 time_ns;		/* since boot */
	__u32 length;		/* of the IP packet, from its header; 0: too large */
	__u16 protocol;		/* IPPROTO_* */
	__u16 ttl;		/* how many more routers it may pass */
};

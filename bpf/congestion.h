/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The record that the programs send and the tool reads. */
#pragma once

enum call { CALL_INIT, CALL_CONG_AVOID, CALL_SSTHRESH, CALL_UNDO_CWND };

struct event {
	__u64 time_ns;		/* since boot */
	__u32 call;		/* enum call: the function that the kernel has called */
	__u32 window;		/* of the connection, in packets, after that */
	__u32 acked;		/* packets that have arrived: of cong_avoid */
	__u16 port;
	__u16 peer_port;
};

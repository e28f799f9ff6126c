/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The key of both maps, the value of one of them, and the record of a socket's end. */
#pragma once

/* One end of a TCP connection, as its socket sees it. */
struct end {
	__u64 network;		/* cookie of the network namespace */
	char local[4];		/* addresses */
	char remote[4];
	__u32 local_port;
	__u32 remote_port;
};

struct counts {
	__u64 messages;		/* that went past TCP */
	__u64 bytes;
};

struct event {
	__u64 time_ns;		/* since boot */
	__u64 messages;
	__u64 bytes;
	char local[4];
	char remote[4];
	__u32 local_port;
	__u32 remote_port;
	__u64 segments;		/* that TCP has sent */
};

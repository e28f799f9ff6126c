/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The keys and values of the maps. */
#pragma once

struct source {
	__u32 version;		/* 4 or 6; 0: the packet is not IP */
	char address[16];	/* of IPv4, the first 4 bytes */
};

struct counts {
	__u64 packets;
	__u64 bytes;
	__u64 dropped;		/* how many of these packets */
};

/* The key of a trie: the length of the prefix in bits, then space for the longest one. */
struct network {
	__u32 prefix_bits;
	__u32 version;
	char address[16];
};

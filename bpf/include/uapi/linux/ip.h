/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The header of IPv4. An interface: fixed, so not relocated. */
#pragma once

struct iphdr {
	__u8 ihl : 4;		/* its length in units of 4 bytes */
	__u8 version : 4;
	__u8 tos;
	__be16 tot_len;		/* of the packet, with this header */
	__be16 id;
	__be16 frag_off;	/* in units of 8 bytes; the upper 3 bits are flags */
	__u8 ttl;
	__u8 protocol;
	__u16 check;
	__be32 saddr;
	__be32 daddr;
};

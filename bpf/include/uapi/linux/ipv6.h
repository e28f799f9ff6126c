/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The header of IPv6. An interface: fixed, so not relocated. */
#pragma once

struct in6_addr {
	__u8 s6_addr[16];
};

struct ipv6hdr {
	__u8 priority : 4;
	__u8 version : 4;
	__u8 flow_lbl[3];
	__be16 payload_len;	/* of what comes behind this header */
	__u8 nexthdr;
	__u8 hop_limit;
	struct in6_addr saddr;
	struct in6_addr daddr;
};

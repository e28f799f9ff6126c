/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a frame of Ethernet begins with. An interface: fixed, so not relocated. */
#pragma once

#define ETH_P_IP 0x0800		/* in h_proto: what comes behind the header */
#define ETH_P_IPV6 0x86DD

struct ethhdr {
	unsigned char h_dest[6];
	unsigned char h_source[6];
	__be16 h_proto;
};

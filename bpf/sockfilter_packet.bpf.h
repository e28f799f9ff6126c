/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Addresses and ports of a packet; libbpf dialect: a part of sockfilter.bpf.c. */
#include "lib/ip.bpf.h"

/* TCP and UDP headers begin with the ports. In a fragmented packet, only the first
 * fragment has them.
 */
static __always_inline bool load_ports(struct __sk_buff *skb, struct ip_header *ip,
				       struct event *e)
{
	__be16 ports[2];

	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return false;
	if (ip->later_fragment)
		return false;
	if (bpf_skb_load_bytes_relative(skb, ip->bytes, ports, sizeof(ports),
					BPF_HDR_START_NET))
		return false;	/* the packet is too short */
	e->source_port = bpf_ntohs(ports[0]);
	e->destination_port = bpf_ntohs(ports[1]);
	return true;
}

static __always_inline bool load_packet(struct __sk_buff *skb, struct event *e)
{
	struct ip_header ip = {};

	if (!load_ip(skb, &ip))
		return false;
	e->version = ip.version;
	e->protocol = ip.protocol;
	__builtin_memcpy(e->source, ip.source, sizeof(ip.source));
	__builtin_memcpy(e->destination, ip.destination, sizeof(ip.destination));
	e->has_ports = load_ports(skb, &ip, e);
	return true;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The IP header of a packet, IPv4 or IPv6; libbpf dialect. */
#pragma once

struct ip_header {
	char source[16];	/* of IPv4, the first 4 bytes */
	char destination[16];
	__u32 bytes;		/* of this header, without IPv6's extensions */
	__u32 total_bytes;	/* of the packet, from the header; 0: too large for it */
	__u8 version;		/* 4 or 6 */
	__u8 protocol;		/* what comes after it: IPPROTO_* */
	__u8 ttl;		/* in IPv6, the hop limit */
	bool later_fragment;	/* what comes after it is the rest of something */
};

static __always_inline bool load_ipv4(struct __sk_buff *skb, struct ip_header *ip)
{
	struct iphdr header;

	/* The kernel knows where the IP header begins: after Ethernet's, or at once. */
	if (bpf_skb_load_bytes_relative(skb, 0, &header, sizeof(header),
					BPF_HDR_START_NET))
		return false;
	if (header.version != 4 || header.ihl < 5)
		return false;
	__builtin_memcpy(ip->source, &header.saddr, sizeof(header.saddr));
	__builtin_memcpy(ip->destination, &header.daddr, sizeof(header.daddr));
	ip->bytes = header.ihl * 4;
	ip->total_bytes = bpf_ntohs(header.tot_len);
	ip->version = 4;
	ip->protocol = header.protocol;
	ip->ttl = header.ttl;
	ip->later_fragment = header.frag_off & bpf_htons(0x1fff);
	return true;
}

static __always_inline bool load_ipv6(struct __sk_buff *skb, struct ip_header *ip)
{
	struct ipv6hdr header;

	if (bpf_skb_load_bytes_relative(skb, 0, &header, sizeof(header),
					BPF_HDR_START_NET))
		return false;
	if (header.version != 6)
		return false;
	__builtin_memcpy(ip->source, &header.saddr, sizeof(header.saddr));
	__builtin_memcpy(ip->destination, &header.daddr, sizeof(header.daddr));
	ip->bytes = sizeof(header);
	if (header.payload_len)
		ip->total_bytes = bpf_ntohs(header.payload_len) + sizeof(header);
	ip->version = 6;
	ip->protocol = header.nexthdr;
	ip->ttl = header.hop_limit;
	return true;
}

/* Read it; false if the packet is not IP, or too short. *ip must be all 0. */
static __always_inline bool load_ip(struct __sk_buff *skb, struct ip_header *ip)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return load_ipv4(skb, ip);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return load_ipv6(skb, ip);
	return false;
}

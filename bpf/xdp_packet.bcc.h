/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who sent a packet; BCC dialect: a part of xdp.bcc.c. */
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>

/* The program reads the packet itself, and needs no helper. Before each read, the
 * verifier demands a comparison with the packet's end.
 */
static __always_inline void read_source(struct xdp_md *ctx, struct source *source)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ipv4 = data + sizeof(*eth);
	struct ipv6hdr *ipv6 = data + sizeof(*eth);

	if ((void *)(eth + 1) > end)
		return;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if ((void *)(ipv4 + 1) > end || ipv4->version != 4)
			return;
		source->version = 4;
		__builtin_memcpy(source->address, &ipv4->saddr, sizeof(ipv4->saddr));
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ipv6 + 1) > end || ipv6->version != 6)
			return;
		source->version = 6;
		__builtin_memcpy(source->address, &ipv6->saddr, sizeof(ipv6->saddr));
	}
}

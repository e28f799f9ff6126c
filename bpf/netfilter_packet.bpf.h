/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The IP header of a packet at netfilter, libbpf dialect: a part of netfilter.bpf.c.
 *
 * The context has the kernel's own struct sk_buff, and skb->data is an address in the
 * kernel's memory. The kernel has checked that the whole IP header is there.
 */

static __always_inline bool read_ip(struct sk_buff *skb, struct event *e)
{
	void *data = skb->data;
	struct ipv6hdr ipv6;
	struct iphdr ipv4;

	if (bpf_probe_read_kernel(&ipv4, sizeof(ipv4), data))
		return false;
	e->version = ipv4.version;	/* at the same place in both headers */
	if (e->version == 4) {
		e->protocol = ipv4.protocol;
		__builtin_memcpy(e->source, &ipv4.saddr, sizeof(ipv4.saddr));
		__builtin_memcpy(e->destination, &ipv4.daddr, sizeof(ipv4.daddr));
		return true;
	}
	if (bpf_probe_read_kernel(&ipv6, sizeof(ipv6), data))
		return false;
	e->protocol = ipv6.nexthdr;
	__builtin_memcpy(e->source, &ipv6.saddr, sizeof(ipv6.saddr));
	__builtin_memcpy(e->destination, &ipv6.daddr, sizeof(ipv6.daddr));
	return true;
}

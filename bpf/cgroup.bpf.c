// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-cgroup, libbpf dialect: the packets of a cgroup's sockets. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "cgroup.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);	/* ingress, egress */
	__type(key, __u32);
	__type(value, struct counts);
} traffic SEC(".maps");

#include "cgroup_connect.bpf.h"	/* the programs of --connect */

static __always_inline int count(struct __sk_buff *skb, __u32 direction)
{
	struct counts *counts = bpf_map_lookup_elem(&traffic, &direction);

	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, skb->len);
	}
	return 1;	/* let it pass; 0 would drop it */
}

SEC("cgroup_skb/ingress")
int count_ingress(struct __sk_buff *skb)
{
	return count(skb, 0);
}

SEC("cgroup_skb/egress")
int count_egress(struct __sk_buff *skb)
{
	return count(skb, 1);
}

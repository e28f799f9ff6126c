// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps bloom-filter, libbpf dialect: a set that says "perhaps" or "no". */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* It has no key. It keeps bits that are set by hashes of the values, not the values. */
struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(map_flags, BPF_F_ZERO_SEED); /* only here: each run shows the same numbers */
	__uint(max_entries, 100);
	__type(value, __u32);
} filter SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int push(struct __sk_buff *skb)
{
	__u32 value = skb->cb[0];

	return bpf_map_push_elem(&filter, &value, BPF_ANY);
}

/* Return 0 for "perhaps", -ENOENT for "no". */
SEC("tc")
int peek(struct __sk_buff *skb)
{
	__u32 value = skb->cb[0];

	return bpf_map_peek_elem(&filter, &value);
}

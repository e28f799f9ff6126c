// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps lru-hash, libbpf dialect: values by key, which drops old ones. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int lookup(struct __sk_buff *skb)
{
	__u32 key = skb->cb[0];
	__u64 *value = bpf_map_lookup_elem(&hash, &key);

	return value ? *value : -ENOENT;
}

SEC("tc")
int update(struct __sk_buff *skb)
{
	__u32 key = skb->cb[0];
	__u64 value = skb->cb[1];

	return bpf_map_update_elem(&hash, &key, &value, BPF_ANY);
}

SEC("tc")
int delete(struct __sk_buff *skb)
{
	__u32 key = skb->cb[0];

	return bpf_map_delete_elem(&hash, &key);
}

/* An element comes and goes, for --measure. */
SEC("tc")
int update_delete(struct __sk_buff *skb)
{
	__u32 key = skb->cb[0];
	__u64 value = 0;

	bpf_map_update_elem(&hash, &key, &value, BPF_ANY);
	return bpf_map_delete_elem(&hash, &key);
}

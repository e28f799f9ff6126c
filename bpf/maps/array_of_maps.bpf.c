// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps array-of-maps, libbpf dialect: maps that user space exchanges. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counts);	/* what each map in it is like */
} current SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int count(struct __sk_buff *skb)
{
	__u32 zero = 0, key = skb->cb[0];
	__u64 *value;
	void *counts;

	counts = bpf_map_lookup_elem(&current, &zero);
	if (!counts)
		return -ENOENT;
	value = bpf_map_lookup_elem(counts, &key);
	if (!value)
		return -ENOENT;
	__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("tc")
int lookup(struct __sk_buff *skb)
{
	__u32 zero = 0, key = skb->cb[0];
	__u64 *value;
	void *counts;

	counts = bpf_map_lookup_elem(&current, &zero);
	if (!counts)
		return -ENOENT;
	value = bpf_map_lookup_elem(counts, &key);
	return value ? *value : -ENOENT;
}

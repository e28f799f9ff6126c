// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps queue, libbpf dialect: values in line, first in, first out. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* It has no key: there is no __type(key, ...). */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int push(struct __sk_buff *skb)
{
	__u32 value = skb->cb[0];

	return bpf_map_push_elem(&queue, &value, skb->cb[1]);
}

SEC("tc")
int peek(struct __sk_buff *skb)
{
	__u32 value;
	long error = bpf_map_peek_elem(&queue, &value);

	return error ? error : value;
}

SEC("tc")
int pop(struct __sk_buff *skb)
{
	__u32 value;
	long error = bpf_map_pop_elem(&queue, &value);

	return error ? error : value;
}

/* Take a value out, add 1 to it, and put it back. */
SEC("tc")
int add(struct __sk_buff *skb)
{
	__u32 value;
	long error = bpf_map_pop_elem(&queue, &value);

	if (error)
		return error;
	value += 1;
	return bpf_map_push_elem(&queue, &value, BPF_ANY);
}

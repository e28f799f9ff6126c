// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps lpm-trie, libbpf dialect: values by prefix, of which the longest wins. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Such a key begins with the number of bits that have to match. */
struct prefix {
	__u32 bits;
	__u32 address; /* in network byte order */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* the kernel wants it */
	__uint(max_entries, 3);
	__type(key, struct prefix);
	__type(value, __u32);
} trie SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int lookup(struct __sk_buff *skb)
{
	struct prefix key = { .bits = 32, .address = skb->cb[0] };
	__u32 *value = bpf_map_lookup_elem(&trie, &key);

	return value ? *value : -ENOENT;
}

SEC("tc")
int update(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };
	__u32 value = skb->cb[2];

	return bpf_map_update_elem(&trie, &key, &value, BPF_ANY);
}

SEC("tc")
int delete(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };

	return bpf_map_delete_elem(&trie, &key);
}

/* An element comes and goes, for --measure. */
SEC("tc")
int update_delete(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };
	__u32 value = 0;

	bpf_map_update_elem(&trie, &key, &value, BPF_ANY);
	return bpf_map_delete_elem(&trie, &key);
}

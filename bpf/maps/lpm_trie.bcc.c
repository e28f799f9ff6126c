// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps lpm-trie, BCC dialect: values by prefix, of which the longest wins. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

/* Such a key begins with the number of bits that have to match. */
struct prefix {
	u32 bits;
	u32 address; /* in network byte order */
};

BPF_LPM_TRIE(trie, struct prefix, u32, 3);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int lookup(struct __sk_buff *skb)
{
	struct prefix key = { .bits = 32, .address = skb->cb[0] };
	u32 *value = trie.lookup(&key);

	return value ? *value : -ENOENT;
}

int update(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };
	u32 value = skb->cb[2];

	return trie.update(&key, &value);
}

int delete(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };

	return trie.delete(&key);
}

/* An element comes and goes, for --measure. */
int update_delete(struct __sk_buff *skb)
{
	struct prefix key = { .bits = skb->cb[0], .address = skb->cb[1] };
	u32 value = 0;

	trie.update(&key, &value);
	return trie.delete(&key);
}

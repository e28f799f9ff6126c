// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps lru-hash, BCC dialect: values by key, which drops old ones. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_TABLE("lru_hash", u32, u64, hash, 4);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int lookup(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];
	u64 *value = hash.lookup(&key);

	return value ? *value : -ENOENT;
}

int update(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];
	u64 value = skb->cb[1];

	return hash.update(&key, &value);
}

int delete(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];

	return hash.delete(&key);
}

/* An element comes and goes, for --measure. */
int update_delete(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];
	u64 value = 0;

	hash.update(&key, &value);
	return hash.delete(&key);
}

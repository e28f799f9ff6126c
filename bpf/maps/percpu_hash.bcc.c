// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps percpu-hash, BCC dialect: values by key, one for each CPU. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_PERCPU_HASH(hash, u32, u64, 4);

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

/* Add 1 to the value of this CPU, which no other CPU changes. */
int add(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];
	u64 *value = hash.lookup(&key);

	if (value)
		*value += 1;
	return 0;
}

/* An element comes and goes, for --measure. */
int update_delete(struct __sk_buff *skb)
{
	u32 key = skb->cb[0];
	u64 value = 0;

	hash.update(&key, &value);
	return hash.delete(&key);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps array, BCC dialect: values by number, from 0 on. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_ARRAY(array, u64, 4);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int lookup(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];
	u64 *value = array.lookup(&index);

	return value ? *value : -ENOENT;
}

int update(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];
	u64 value = skb->cb[1];

	return skb->cb[2] ? array.insert(&index, &value) : array.update(&index, &value);
}

int delete(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];

	return array.delete(&index);
}

/* Add 1 to a value, which other CPUs may change, too. */
int add(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];
	u64 *value = array.lookup(&index);

	if (value)
		*value += 1;
	return 0;
}

int add_atomic(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];

	array.atomic_increment(index);
	return 0;
}

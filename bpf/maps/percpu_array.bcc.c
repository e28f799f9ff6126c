// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps percpu-array, BCC dialect: values by number, one for each CPU. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_PERCPU_ARRAY(array, u64, 4);

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

	return array.update(&index, &value);
}

/* Add 1 to the value of this CPU, which no other CPU changes. */
int add(struct __sk_buff *skb)
{
	u32 index = skb->cb[0];
	u64 *value = array.lookup(&index);

	if (value)
		*value += 1;
	return 0;
}

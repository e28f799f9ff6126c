// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps array-of-maps, BCC dialect: maps that user space exchanges. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_ARRAY(counts, u64, 2);	/* what each map in it is like */
BPF_ARRAY_OF_MAPS(current, "counts", 1);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int count(struct __sk_buff *skb)
{
	u32 zero = 0, key = skb->cb[0];
	u64 *value;
	void *counts;

	counts = current.lookup(&zero);
	if (!counts)
		return -ENOENT;
	value = bpf_map_lookup_elem(counts, &key);
	if (!value)
		return -ENOENT;
	__sync_fetch_and_add(value, 1);
	return 0;
}

int lookup(struct __sk_buff *skb)
{
	u32 zero = 0, key = skb->cb[0];
	u64 *value;
	void *counts;

	counts = current.lookup(&zero);
	if (!counts)
		return -ENOENT;
	value = bpf_map_lookup_elem(counts, &key);
	return value ? *value : -ENOENT;
}

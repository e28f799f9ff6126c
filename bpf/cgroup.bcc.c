// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-cgroup, BCC dialect: the packets of a cgroup's sockets. */
#include <uapi/linux/bpf.h>
#include "cgroup.h"

BPF_ARRAY(traffic, struct counts, 2);	/* ingress, egress */

#include "cgroup_connect.bcc.h"	/* the programs of --connect */

static __always_inline int count(struct __sk_buff *skb, u32 direction)
{
	struct counts *counts = traffic.lookup(&direction);

	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, skb->len);
	}
	return 1;	/* let it pass; 0 would drop it */
}

int count_ingress(struct __sk_buff *skb)
{
	return count(skb, 0);
}

int count_egress(struct __sk_buff *skb)
{
	return count(skb, 1);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-tc, BCC dialect: packets at traffic control, where they could be changed. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/pkt_cls.h>
#include "tc.h"
#include "lib/ip.bcc.h"

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* -Donly_count=1, for --count: no records, only these two. */
BPF_ARRAY(packets, u64, 1);
BPF_ARRAY(bytes, u64, 1);
BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

int handle_packet(struct __sk_buff *skb)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };
	struct ip_header ip = {};
	int zero = 0;

	if (!load_ip(skb, &ip))
		return TC_ACT_UNSPEC;
	packets.atomic_increment(zero);
	bytes.atomic_increment(zero, skb->len);
	e.length = ip.total_bytes;
	e.protocol = ip.protocol;
	e.ttl = ip.ttl;
	if (!only_count && rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	/* No opinion: the next program decides. TC_ACT_OK would accept it now. */
	return TC_ACT_UNSPEC;
}

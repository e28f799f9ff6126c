// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sockfilter, BCC dialect: what a socket would get from an interface. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_packet.h>
#include "sockfilter.h"

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

#include "sockfilter_packet.bcc.h"	/* load_packet() fills in the record */

/* The filter of a socket. It returns how many bytes of the packet the socket gets. */
int handle_packet(struct __sk_buff *skb)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .bytes = skb->len };
	int zero = 0;

	/* The socket would also see what this machine sends. */
	if (skb->pkt_type != PACKET_HOST || !load_packet(skb, &e))
		return 0;
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;	/* nobody reads from the socket */
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-netfilter, BCC dialect: packets at the hooks of the firewall. */
#include <uapi/linux/netfilter.h>
#include "netfilter.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Ddrop_protocol=	drop packets of this protocol; 0: none
 *	-Drb_max_entries=	size of the ring buffer in bytes: --buffer
 */

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "netfilter_packet.bcc.h"	/* read_ip() fills in the record */

/* One program for all hooks: ctx->state says at which of them the packet is. */
int handle_packet(struct bpf_nf_ctx *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .hook = ctx->state->hook };
	int zero = 0;

	e.bytes = ctx->skb->len;
	if (!read_ip(ctx->skb, &e))
		return NF_ACCEPT;
	e.dropped = drop_protocol && e.protocol == drop_protocol;
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return e.dropped ? NF_DROP : NF_ACCEPT;
}

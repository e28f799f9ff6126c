// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-netfilter, libbpf dialect: packets at the hooks of the firewall. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "netfilter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u8 drop_protocol;	/* drop packets of this protocol; 0: none */

__u64 lost;	/* records that found the buffer full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

#include "netfilter_packet.bpf.h"	/* read_ip() fills in the record */

/* One program for all hooks: ctx->state says at which of them the packet is. */
SEC("netfilter")
int handle_packet(struct bpf_nf_ctx *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .hook = ctx->state->hook };

	e.bytes = ctx->skb->len;
	if (!read_ip(ctx->skb, &e))
		return NF_ACCEPT;
	e.dropped = drop_protocol && e.protocol == drop_protocol;
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return e.dropped ? NF_DROP : NF_ACCEPT;
}

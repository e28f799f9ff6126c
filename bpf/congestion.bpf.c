// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-congestion, libbpf dialect: a congestion control for TCP, called by the kernel. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>
#include "congestion.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 window = 10;	/* packets that may be on their way at once */

#include "congestion_event.bpf.h"	/* report() sends a record */

/* A connection begins. The kernel lets programs of this kind write snd_cwnd. */
SEC("struct_ops/init")
void BPF_PROG(init, struct tcp_sock *tp)
{
	tp->snd_cwnd = window;
	report(tp, CALL_INIT, 0);
}

/* Packets have arrived. Others would let the window grow now. */
SEC("struct_ops/cong_avoid")
void BPF_PROG(cong_avoid, struct tcp_sock *tp, __u32 ack, __u32 acked)
{
	tp->snd_cwnd = window;
	report(tp, CALL_CONG_AVOID, acked);
}

/* A packet was lost: up to which window may the next ones grow fast? */
SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct tcp_sock *tp)
{
	report(tp, CALL_SSTHRESH, 0);
	return window;
}

/* It was not lost, but late: which window was right? */
SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(undo_cwnd, struct tcp_sock *tp)
{
	report(tp, CALL_UNDO_CWND, 0);
	return window;
}

/* What the kernel calls. It has more members, and these four are all that it demands. */
SEC(".struct_ops")
struct tcp_congestion_ops fixed = {
	.init = (void *)init,
	.cong_avoid = (void *)cong_avoid,
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.name = "fixed",	/* the tool puts another in its place */
};

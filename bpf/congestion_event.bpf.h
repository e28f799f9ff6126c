/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Send a record for each call: a part of congestion.bpf.c. */

__u64 lost;	/* records that found the buffer full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

static __always_inline void report(struct tcp_sock *tp, enum call call, __u32 acked)
{
	struct sock *sk = (struct sock *)tp;	/* it begins with one */
	struct event e = { .time_ns = bpf_ktime_get_ns(), .call = call, .acked = acked };

	e.window = tp->snd_cwnd;
	e.port = sk->__sk_common.skc_num;
	e.peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
}

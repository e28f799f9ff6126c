/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-cgroup --connect, BCC dialect: who connects to where. A part of cgroup.bcc.c.
 * The Python side passes numbers to the compiler:
 *
 *	-Ddenied_port=	--deny-port; 0: none
 *	-Drb_max_entries=	size of the ring buffer in bytes: --buffer
 */

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* The rest of the record, and the answer. It runs in the process that calls connect(2). */
static __always_inline int answer(struct bpf_sock_addr *ctx, struct event *e)
{
	int zero = 0;

	e->time_ns = bpf_ktime_get_ns();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	e->protocol = ctx->protocol;
	e->port = bpf_ntohs(ctx->user_port);
	e->refused = denied_port && e->port == denied_port;
	if (rb.ringbuf_output(e, sizeof(*e), 0))
		lost.atomic_increment(zero);
	/* The verifier must see that it is 0 or 1. 0: the call fails with EPERM. */
	return e->refused ? 0 : 1;
}

int handle_connect4(struct bpf_sock_addr *ctx)
{
	struct event e = { .version = 4 };

	*(u32 *)e.address = ctx->user_ip4;
	return answer(ctx, &e);
}

int handle_connect6(struct bpf_sock_addr *ctx)
{
	struct event e = { .version = 6 };
	u32 *address = (u32 *)e.address;

	/* Each access to the context is at a place that the verifier must know. */
	address[0] = ctx->user_ip6[0];
	address[1] = ctx->user_ip6[1];
	address[2] = ctx->user_ip6[2];
	address[3] = ctx->user_ip6[3];
	return answer(ctx, &e);
}

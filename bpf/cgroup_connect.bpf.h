/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-cgroup --connect, libbpf dialect: who connects to where. A part of cgroup.bpf.c. */

const volatile int denied_port;	/* --deny-port; 0: none */

__u64 lost;	/* records that found the buffer full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

/* The rest of the record, and the answer. It runs in the process that calls connect(2). */
static __always_inline int answer(struct bpf_sock_addr *ctx, struct event *e)
{
	e->time_ns = bpf_ktime_get_ns();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	e->protocol = ctx->protocol;
	e->port = bpf_ntohs(ctx->user_port);
	e->refused = denied_port && e->port == denied_port;
	if (bpf_ringbuf_output(&rb, e, sizeof(*e), 0))
		__sync_fetch_and_add(&lost, 1);
	/* The verifier must see that it is 0 or 1. 0: the call fails with EPERM. */
	return e->refused ? 0 : 1;
}

SEC("cgroup/connect4")
int handle_connect4(struct bpf_sock_addr *ctx)
{
	struct event e = { .version = 4 };

	*(__u32 *)e.address = ctx->user_ip4;
	return answer(ctx, &e);
}

SEC("cgroup/connect6")
int handle_connect6(struct bpf_sock_addr *ctx)
{
	struct event e = { .version = 6 };
	__u32 *address = (__u32 *)e.address;

	/* Each access to the context is at a place that the verifier must know. */
	address[0] = ctx->user_ip6[0];
	address[1] = ctx->user_ip6[1];
	address[2] = ctx->user_ip6[2];
	address[3] = ctx->user_ip6[3];
	return answer(ctx, &e);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What went past TCP, by socket, and the record of its end; BCC dialect: a part of
 * sockops.bcc.c. The Python side passes numbers to the compiler:
 *
 *	-Dpassed_max_entries=	size of the hash: --entries
 *	-Drb_max_entries=	size of the ring buffer in bytes: --buffer
 */
#define AF_INET 2

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */
BPF_ARRAY(left_out, u64, 1);	/* sockets that found a map full */

BPF_HASH(passed, struct end, struct counts, passed_max_entries);

BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

static __always_inline void set_end(struct end *end, u64 network, u32 local,
				    u32 remote, u32 local_port, u32 remote_port)
{
	end->network = network;
	*(u32 *)end->local = local;
	*(u32 *)end->remote = remote;
	end->local_port = local_port;
	end->remote_port = remote_port;
}

/* A socket that is connected, and whether it is in the map (0) or not. */
static __always_inline void begin(struct bpf_sock_ops *ctx, struct end *own, long error)
{
	struct counts none = {};
	int zero = 0;

	if (passed.update(own, &none) || error)
		left_out.atomic_increment(zero);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);	/* tell its end */
}

static __always_inline void count(struct end *own, u32 bytes)
{
	struct counts *counts = passed.lookup(own);

	if (counts) {
		__sync_fetch_and_add(&counts->messages, 1);
		__sync_fetch_and_add(&counts->bytes, bytes);
	}
}

static __always_inline void send_record(struct bpf_sock_ops *ctx, struct end *own)
{
	struct counts *counts = passed.lookup(own);
	struct event e = { .time_ns = bpf_ktime_get_ns(), .segments = ctx->segs_out };
	int zero = 0;

	if (!counts)
		return;
	e.messages = counts->messages;
	e.bytes = counts->bytes;
	__builtin_memcpy(e.local, own->local, sizeof(e.local));
	__builtin_memcpy(e.remote, own->remote, sizeof(e.remote));
	e.local_port = own->local_port;
	e.remote_port = own->remote_port;
	passed.delete(own);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
}

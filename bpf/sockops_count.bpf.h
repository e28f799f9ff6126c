/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What went past TCP, by socket, and the record of its end; libbpf dialect: a part of
 * sockops.bpf.c.
 */
__u64 lost;	/* records that found the buffer full */
__u64 left_out;	/* sockets that found a map full */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);	/* --entries changes it */
	__type(key, struct end);
	__type(value, struct counts);
} passed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

static __always_inline void set_end(struct end *end, __u64 network, __u32 local,
				    __u32 remote, __u32 local_port, __u32 remote_port)
{
	end->network = network;
	*(__u32 *)end->local = local;
	*(__u32 *)end->remote = remote;
	end->local_port = local_port;
	end->remote_port = remote_port;
}

/* A socket that is connected, and whether it is in the map (0) or not. */
static __always_inline void begin(struct bpf_sock_ops *ctx, struct end *own, long error)
{
	struct counts none = {};

	if (bpf_map_update_elem(&passed, own, &none, BPF_ANY) || error)
		__sync_fetch_and_add(&left_out, 1);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);	/* tell its end */
}

static __always_inline void count(struct end *own, __u32 bytes)
{
	struct counts *counts = bpf_map_lookup_elem(&passed, own);

	if (counts) {
		__sync_fetch_and_add(&counts->messages, 1);
		__sync_fetch_and_add(&counts->bytes, bytes);
	}
}

static __always_inline void send_record(struct bpf_sock_ops *ctx, struct end *own)
{
	struct counts *counts = bpf_map_lookup_elem(&passed, own);
	struct event e = { .time_ns = bpf_ktime_get_ns(), .segments = ctx->segs_out };

	if (!counts)
		return;
	e.messages = counts->messages;
	e.bytes = counts->bytes;
	__builtin_memcpy(e.local, own->local, sizeof(e.local));
	__builtin_memcpy(e.remote, own->remote, sizeof(e.remote));
	e.local_port = own->local_port;
	e.remote_port = own->remote_port;
	bpf_map_delete_elem(&passed, own);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sklookup, libbpf dialect: which socket gets a datagram or a connection. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "sklookup.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* User space puts a file descriptor here. A program gets the socket itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

#include "sklookup_event.bpf.h"	/* is_wanted(), load_addresses(), send() */

SEC("sk_lookup")
int pick_socket(struct bpf_sk_lookup *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .protocol = ctx->protocol };
	__u32 first = 0;
	void *sk = 0;

	load_addresses(ctx, &e);
	if (is_wanted(ctx))
		sk = bpf_map_lookup_elem(&sockets, &first);
	if (sk) {
		e.assigned = !bpf_sk_assign(ctx, sk, 0);
		bpf_sk_release(sk);	/* the map's lookup has taken a reference */
	}
	send(&e);
	/* If no socket was assigned, the kernel looks for one as always. */
	return SK_PASS;
}

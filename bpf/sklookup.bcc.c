// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sklookup, BCC dialect: which socket gets a datagram or a connection. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/in.h>
#include "sklookup.h"

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* User space puts a file descriptor here. A program gets the socket itself. */
BPF_TABLE("sockmap", u32, u64, sockets, 1);

#include "sklookup_event.bcc.h"	/* is_wanted(), load_addresses(), send() */

int pick_socket(struct bpf_sk_lookup *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .protocol = ctx->protocol };
	u32 first = 0;
	void *sk = 0;

	load_addresses(ctx, &e);
	if (is_wanted(ctx))
		sk = sockets.lookup(&first);
	if (sk) {
		e.assigned = !bpf_sk_assign(ctx, sk, 0);
		bpf_sk_release(sk);	/* the map's lookup has taken a reference */
	}
	send(&e);
	/* If no socket was assigned, the kernel looks for one as always. */
	return SK_PASS;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps ring-buffer, libbpf dialect: records to user space, of any size. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How each record begins. */
struct event {
	__u32 number;
};

struct event *unused_event __attribute__((unused));	/* tells user space what it looks like */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);	/* bytes: a power of two, and whole pages */
} rb SEC(".maps");

__u64 lost;

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int small(struct __sk_buff *skb)
{
	struct event *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return -EAGAIN;
	}
	e->number = skb->cb[0];
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tc")
int large(struct __sk_buff *skb)
{
	struct event *e = bpf_ringbuf_reserve(&rb, 16000, 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return -EAGAIN;
	}
	e->number = skb->cb[0];
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* A record that is made elsewhere first, and then copied. */
SEC("tc")
int copy(struct __sk_buff *skb)
{
	struct event e = { .number = skb->cb[0] };

	return bpf_ringbuf_output(&rb, &e, sizeof(e), 0);
}

/* Reserve, and then find that there is nothing to say. */
SEC("tc")
int discard(struct __sk_buff *skb)
{
	struct event *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);

	if (!e)
		return -EAGAIN;
	e->number = skb->cb[0];
	bpf_ringbuf_discard(e, 0);
	return 0;
}

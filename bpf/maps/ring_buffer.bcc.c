// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps ring-buffer, BCC dialect: records to user space, of any size. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

/* How each record begins. */
struct event {
	u32 number;
};

BPF_RINGBUF_OUTPUT(rb, 65536 / PAGE_SIZE);	/* pages: a power of two */
BPF_ARRAY(lost, u64, 1);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int small(struct __sk_buff *skb)
{
	struct event *e = rb.ringbuf_reserve(sizeof(*e));

	if (!e) {
		lost.atomic_increment(0);
		return -EAGAIN;
	}
	e->number = skb->cb[0];
	rb.ringbuf_submit(e, 0);
	return 0;
}

int large(struct __sk_buff *skb)
{
	struct event *e = rb.ringbuf_reserve(16000);

	if (!e) {
		lost.atomic_increment(0);
		return -EAGAIN;
	}
	e->number = skb->cb[0];
	rb.ringbuf_submit(e, 0);
	return 0;
}

/* A record that is made elsewhere first, and then copied. */
int copy(struct __sk_buff *skb)
{
	struct event e = { .number = skb->cb[0] };

	return rb.ringbuf_output(&e, sizeof(e), 0);
}

/* Reserve, and then find that there is nothing to say. */
int discard(struct __sk_buff *skb)
{
	struct event *e = rb.ringbuf_reserve(sizeof(*e));

	if (!e)
		return -EAGAIN;
	e->number = skb->cb[0];
	rb.ringbuf_discard(e, 0);
	return 0;
}

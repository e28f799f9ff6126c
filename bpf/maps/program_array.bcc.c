// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps program-array, BCC dialect: programs by number, to jump to. */
#include <uapi/linux/bpf.h>
#include "lib/errno.h"

BPF_PROG_ARRAY(programs, 2);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
int jump(struct __sk_buff *skb)
{
	programs.call(skb, skb->cb[0]);
	/* A jump does not come back. We get here if there was none. */
	return -ENOENT;
}

int hundred(struct __sk_buff *skb)
{
	return 100;
}

int two_hundred(struct __sk_buff *skb)
{
	return 200;
}

/* Jumps to itself, and counts, in a number that goes with the packet. */
int again(struct __sk_buff *skb)
{
	skb->cb[1] += 1;
	programs.call(skb, 1);
	return skb->cb[1] - 1;
}

/* A program of another type. */
int other(struct bpf_raw_tracepoint_args *ctx)
{
	return 0;
}

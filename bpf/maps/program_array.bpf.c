// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps program-array, libbpf dialect: programs by number, to jump to. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} programs SEC(".maps");

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it. */
SEC("tc")
int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &programs, skb->cb[0]);
	/* A jump does not come back. We get here if there was none. */
	return -ENOENT;
}

SEC("tc")
int hundred(struct __sk_buff *skb)
{
	return 100;
}

SEC("tc")
int two_hundred(struct __sk_buff *skb)
{
	return 200;
}

/* Jumps to itself, and counts, in a number that goes with the packet. */
SEC("tc")
int again(struct __sk_buff *skb)
{
	skb->cb[1] += 1;
	bpf_tail_call(skb, &programs, 1);
	return skb->cb[1] - 1;
}

/* A program of another type. */
SEC("raw_tp")
int other(struct bpf_raw_tracepoint_args *ctx)
{
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps user-ring-buffer, libbpf dialect: records from user space. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 65536);	/* bytes: a power of two, and whole pages */
} urb SEC(".maps");

/* The kernel calls this with each record, a dynptr: user space said how long it is. */
static long add(struct bpf_dynptr *record, __u64 *sum)
{
	__u32 number;

	if (!bpf_dynptr_read(&number, sizeof(number), record, 0, 0))
		*sum += number;
	return 0;	/* go on with the next one; 1: leave it there */
}

static long take_one(struct bpf_dynptr *record, __u64 *sum)
{
	add(record, sum);
	return 1;
}

/* Both return the sum of the numbers that they took, or an error. */
SEC("tc")
int drain(struct __sk_buff *skb)
{
	__u64 sum = 0;
	long records = bpf_user_ringbuf_drain(&urb, add, &sum, 0);

	return records < 0 ? records : sum;
}

SEC("tc")
int drain_one(struct __sk_buff *skb)
{
	__u64 sum = 0;
	long records = bpf_user_ringbuf_drain(&urb, take_one, &sum, 0);

	return records < 0 ? records : sum;
}

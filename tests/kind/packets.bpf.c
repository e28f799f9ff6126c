// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 packets, others;

SEC("xdp")
int count_packet(void *ctx)
{
	__sync_fetch_and_add(&packets, 1);
	return 2;	/* XDP_PASS */
}

/* Of the same SEC(), and not this tool's hook. */
SEC("xdp")
int count_other(void *ctx)
{
	__sync_fetch_and_add(&others, 1);
	return 2;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps device-map, libbpf dialect: network interfaces, to send packets to. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} devices SEC(".maps");

__u64 packets;

/* The last argument is what to return if there is no interface. */
SEC("xdp")
int to_first_or_drop(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devices, 0, XDP_DROP);
}

SEC("xdp")
int to_second_or_pass(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devices, 1, XDP_PASS);
}

/* Attached to the other end of the first interface. */
SEC("xdp")
int arrive(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data == 64)	/* ours: the kernel has others */
		__sync_fetch_and_add(&packets, 1);
	return XDP_DROP;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps device-map, BCC dialect: network interfaces, to send packets to. */
#include <uapi/linux/bpf.h>

BPF_DEVMAP(devices, 2);
BPF_ARRAY(packets, u64, 1);

/* The last argument is what to return if there is no interface. */
int to_first_or_drop(struct xdp_md *ctx)
{
	return devices.redirect_map(0, XDP_DROP);
}

int to_second_or_pass(struct xdp_md *ctx)
{
	return devices.redirect_map(1, XDP_PASS);
}

/* Attached to the other end of the first interface. */
int arrive(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data == 64)	/* ours: the kernel has others */
		packets.atomic_increment(0);
	return XDP_DROP;
}

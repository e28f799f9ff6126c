// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-xdp, libbpf dialect: packets before the kernel looks at them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "xdp.h"
#include "lib/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);	/* --entries changes it */
	__type(key, struct source);
	__type(value, struct counts);
} sources SEC(".maps");

__u64 packets;	/* all of them: more than in the map, if it dropped some */

#include "xdp_packet.bpf.h"	/* read_source() */
#include "xdp_drop.bpf.h"	/* is_to_drop(), for --drop */

SEC("xdp")
int handle_packet(struct xdp_md *ctx)
{
	struct counts *counts, none = {};
	struct source source = {};
	bool dropped;

	read_source(ctx, &source);
	dropped = is_to_drop(&source);
	__sync_fetch_and_add(&packets, 1);
	counts = bpf_map_lookup_or_try_init(&sources, &source, &none);
	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, ctx->data_end - ctx->data);
		if (dropped)
			__sync_fetch_and_add(&counts->dropped, 1);
	}
	return dropped ? XDP_DROP : XDP_PASS;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-xdp, BCC dialect: packets before the kernel looks at them. */
#include <uapi/linux/bpf.h>
#include "xdp.h"

/* -Dsources_max_entries= is how many the map holds; --entries changes it. */
BPF_TABLE("lru_hash", struct source, struct counts, sources, sources_max_entries);

BPF_ARRAY(packets, u64, 1);	/* all: more than in the map, if it dropped some */

#include "xdp_packet.bcc.h"	/* read_source() */
#include "xdp_drop.bcc.h"	/* is_to_drop(), for --drop */

int handle_packet(struct xdp_md *ctx)
{
	struct counts *counts, none = {};
	struct source source = {};
	int zero = 0;
	bool dropped;

	read_source(ctx, &source);
	dropped = is_to_drop(&source);
	packets.atomic_increment(zero);
	counts = sources.lookup_or_try_init(&source, &none);
	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, ctx->data_end - ctx->data);
		/* Adding a 0 that the compiler knows becomes an atomic OR, new in Linux 5.12. */
		if (dropped)
			__sync_fetch_and_add(&counts->dropped, 1);
	}
	return dropped ? XDP_DROP : XDP_PASS;
}

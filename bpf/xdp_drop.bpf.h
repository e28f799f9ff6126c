/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* --drop: networks whose packets are dropped; libbpf dialect: a part of xdp.bpf.c. */

const volatile bool drop_any;	/* is there anything in the map? */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);	/* the tool sets it to the number of networks */
	__uint(map_flags, BPF_F_NO_PREALLOC);	/* a trie needs it */
	__type(key, struct network);
	__type(value, __u32);
} drop SEC(".maps");

/* Is the source in one of them? All bits of it may count. */
static __always_inline bool is_to_drop(const struct source *source)
{
	struct network network = {
		.prefix_bits = 8 * sizeof(*source),
		.version = source->version,
	};

	if (!drop_any)
		return false;
	__builtin_memcpy(network.address, source->address, sizeof(network.address));
	return bpf_map_lookup_elem(&drop, &network);
}

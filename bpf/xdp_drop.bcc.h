/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* --drop: networks whose packets are dropped; BCC dialect: a part of xdp.bcc.c.
 * The Python side passes numbers to the compiler:
 *
 *	-Ddrop_any=	is there anything in the map?
 *	-Ddrop_max_entries=	its size
 */

BPF_LPM_TRIE(drop, struct network, u32, drop_max_entries);

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
	return drop.lookup(&network);
}

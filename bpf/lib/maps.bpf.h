/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps, libbpf dialect. In BCC, a map has this as a method. */
#pragma once

/* Look up an entry; create it if there is none. NULL: the map is full. */
static __always_inline void *
bpf_map_lookup_or_try_init(void *map, const void *key, const void *init)
{
	void *value = bpf_map_lookup_elem(map, key);

	if (value)
		return value;
	/* Another CPU may be faster. BPF_NOEXIST keeps what it counted by
	 * then, and the second lookup finds its entry.
	 */
	bpf_map_update_elem(map, key, init, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

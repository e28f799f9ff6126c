/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kprobe knows and the kretprobe does not, remembered until the call returns;
 * libbpf dialect: a part of kprobe.bpf.c.
 */

static __always_inline void remember(int dfd)
{
	__u64 thread = bpf_get_current_pid_tgid();

	/* We missed the return of this thread's last call: a kretprobe can
	 * follow only a few calls at once.
	 */
	if (!bpf_map_delete_elem(&calls, &thread))
		__sync_fetch_and_add(&lost, 1);
	/* The map is full, so the return of this call will be missed. */
	if (bpf_map_update_elem(&calls, &thread, &dfd, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

/* False: filtered out, or it began before we were attached. */
static __always_inline bool recall(int *dfd)
{
	__u64 thread = bpf_get_current_pid_tgid();
	int *found = bpf_map_lookup_elem(&calls, &thread);

	if (!found)
		return false;
	*dfd = *found;
	bpf_map_delete_elem(&calls, &thread);
	return true;
}

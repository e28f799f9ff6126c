/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kprobe knows and the kretprobe does not, remembered until the call returns;
 * BCC dialect: a part of kprobe.bcc.c.
 */

static __always_inline void remember(int dfd)
{
	u64 thread = bpf_get_current_pid_tgid();

	/* We missed the return of this thread's last call: a kretprobe can
	 * follow only a few calls at once.
	 */
	if (!calls.delete(&thread))
		count_lost();
	/* The map is full, so the return of this call will be missed. */
	if (calls.update(&thread, &dfd))
		count_lost();
}

/* False: filtered out, or it began before we were attached. */
static __always_inline bool recall(int *dfd)
{
	u64 thread = bpf_get_current_pid_tgid();
	int *found = calls.lookup(&thread);

	if (!found)
		return false;
	*dfd = *found;
	calls.delete(&thread);
	return true;
}

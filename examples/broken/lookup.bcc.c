// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a map lookup whose result is not checked. */

/* How many programs each user has executed. */
BPF_HASH(execs, u32, u64, 1024);

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	u32 uid = bpf_get_current_uid_gid();
	u64 *count = execs.lookup(&uid);

	/* Broken: for a user's first exec there is no element, and count is
	 * NULL. The mended program says here: if (!count) return 0;
	 */
	*count += 1;
	return 0;
}

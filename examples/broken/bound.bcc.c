// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a read past the end of an array. */

/* How often each of the 64 signals was sent. */
struct signals {
	u64 sent[64];
};
BPF_ARRAY(signals, struct signals, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_kill)
{
	int first = 0;
	struct signals *all = signals.lookup(&first);
	u64 number = args->sig;

	if (!all || number > 64)
		return 0;
	/* Broken: signals are counted from 1, array elements from 0. sent[64] is
	 * the 65th of 64. The mended program says above: sent[65].
	 */
	all->sent[number] += 1;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a licence that is not the GPL's. */

/* Broken: where a program says nothing, BCC says GPL. The mended program is
 * without this line.
 */
#define BPF_LICENSE Proprietary

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	bpf_trace_printk("a program is executed");
	return 0;
}

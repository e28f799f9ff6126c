// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a read past the end of an array. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How often each of the 64 signals was sent. */
__u64 sent[64];

SEC("tp/syscalls/sys_enter_kill")
int count_signal(struct trace_event_raw_sys_enter *ctx)
{
	__u64 number = ctx->args[1];

	if (number > 64)
		return 0;
	/* Broken: signals are counted from 1, array elements from 0. sent[64] is
	 * the 65th of 64. The mended program says above: sent[65].
	 */
	sent[number] += 1;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a loop without a bound. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Let every program start a tenth of a second later. */
SEC("tp/syscalls/sys_enter_execve")
int delay_exec(void *ctx)
{
	__u64 end = bpf_ktime_get_ns() + 100000000;

	/* Broken: the clock will reach the end, but the verifier does not know
	 * what a clock is. A loop that it accepts counts: for (i = 0; i < 64; i++)
	 */
	while (bpf_ktime_get_ns() < end)
		;
	return 0;
}

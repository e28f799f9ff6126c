// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a loop without a bound. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How far below process 1 the process is that executes a program. */
SEC("tp/syscalls/sys_enter_execve")
int show_depth(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int depth = 0;

	/* Broken: every process has 1 among its ancestors, but the verifier
	 * does not know that. The mended loop has a bound, too:
	 * while (depth < 64 && ...).
	 */
	while (BPF_CORE_READ(task, tgid) != 1) {
		task = BPF_CORE_READ(task, real_parent);
		depth++;
	}
	bpf_printk("%d processes below 1", depth);
	return 0;
}

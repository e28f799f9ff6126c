// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-hello, libbpf dialect: a greeting at every exec. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/* Helpers such as bpf_printk() are only for programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SEC() names the hook: the kernel runs this when a process calls execve(2). */
SEC("tp/syscalls/sys_enter_execve")
int handle_execve(void *ctx)
{
	/* A line for the kernel's trace buffer, where the tool reads it. */
	bpf_printk("Hello, World!");
	return 0;
}

/* The same with a directory to start from: what fexecve(3) calls. */
SEC("tp/syscalls/sys_enter_execveat")
int handle_execveat(void *ctx)
{
	bpf_printk("Hello, World!");
	return 0;
}

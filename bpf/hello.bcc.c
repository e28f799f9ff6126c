// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-hello, BCC dialect: a greeting at every exec. */

/* BCC adds the helpers and a GPL licence. */

/* The macro names the hook: the kernel runs this when a process calls execve(2). */
TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	/* A line for the kernel's trace buffer, where the tool reads it. */
	bpf_trace_printk("Hello, World!");
	return 0;
}

/* The same with a directory to start from: what fexecve(3) calls. */
TRACEPOINT_PROBE(syscalls, sys_enter_execveat)
{
	bpf_trace_printk("Hello, World!");
	return 0;
}

/* BCC adds the helpers and a GPL licence. */

/* The kernel runs this when a process calls kill(2). To see the arguments of the call:
 *
 *	cat /sys/kernel/tracing/events/syscalls/sys_enter_kill/format
 *
 * args has them by name.
 */
TRACEPOINT_PROBE(syscalls, sys_enter_kill)
{
	int pid = args->pid, sig = args->sig;

	/* A line for the kernel's trace buffer, where the tool reads it. */
	bpf_trace_printk("kill %d %d", pid, sig);
	return 0;
}

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/* Helpers such as bpf_printk() are only for programs under the GPL. */
char LICENSE[] SEC("license") = "GPL";

/* The kernel runs this when a process calls kill(2). To see the arguments of the call:
 *
 *	cat /sys/kernel/tracing/events/syscalls/sys_enter_kill/format
 *
 * ctx->args[] has them in this order.
 */
SEC("tp/syscalls/sys_enter_kill")
int handle_kill(struct trace_event_raw_sys_enter *ctx)
{
	int pid = ctx->args[0], sig = ctx->args[1];

	/* A line for the kernel's trace buffer, where the tool reads it. */
	bpf_printk("kill %d %d", pid, sig);
	return 0;
}

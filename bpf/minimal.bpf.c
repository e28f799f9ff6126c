// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-minimal, libbpf dialect: print a line at each of the tool's own writes. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/* Helpers such as bpf_printk() are only for programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Global variables live in a map of their own, .bss. The Python side finds
 * them there by name and sets them before the program is loaded.
 */
int my_pid;		/* the tool's PID, as the tool sees it */
int my_fd;		/* the file descriptor it writes to once a second */
__u64 pidns_dev;	/* its PID namespace: the device and the inode */
__u64 pidns_ino;	/* number of /proc/self/ns/pid */

/* SEC() names the hook: this runs on entry to every write(2) of every process
 * on the machine. The context, ctx, carries the arguments of the call.
 */
SEC("tp/syscalls/sys_enter_write")
int handle_write(struct trace_event_raw_sys_enter *ctx)
{
	struct bpf_pidns_info ns = {};

	/* The writer's PID in the tool's PID namespace. The helper fails for a
	 * process of any other namespace.
	 */
	if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns, sizeof(ns)))
		return 0;
	if (ns.tgid != my_pid)	/* what the kernel calls tgid is the PID */
		return 0;

	/* The tool prints its rows with write(2), too: without this line, each
	 * row would cause another one.
	 */
	if (ctx->args[0] != my_fd)
		return 0;

	/* A line for the trace buffer. bpf_printk() is for debugging: the
	 * examples that follow send records through maps.
	 */
	bpf_printk("BPF triggered from PID %d.", ns.tgid);
	return 0;
}

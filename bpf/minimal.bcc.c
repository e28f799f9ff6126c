// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-minimal, BCC dialect: print a line at each of the tool's own writes. */

/* BCC adds the helpers and a GPL licence. */

/* BCC compiles at run time, so it needs no global variables for what is known by
 * then. The Python side passes these to the compiler as numbers:
 *
 *	-Dmy_pid=	the tool's PID, as the tool sees it
 *	-Dmy_fd=	the file descriptor it writes to once a second
 *	-Dpidns_dev=	its PID namespace: the device and the inode
 *	-Dpidns_ino=	number of /proc/self/ns/pid
 */

/* The macro names the hook: this runs on entry to every write(2) of every
 * process on the machine. It declares args, with the arguments of the call.
 */
TRACEPOINT_PROBE(syscalls, sys_enter_write)
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
	if (args->fd != my_fd)
		return 0;

	/* A line for the trace buffer. bpf_trace_printk() is for debugging:
	 * the examples that follow send records through maps.
	 */
	bpf_trace_printk("BPF triggered from PID %d.", ns.tgid);
	return 0;
}

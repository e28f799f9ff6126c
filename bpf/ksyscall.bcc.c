// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-ksyscall, BCC dialect: who sends a signal to whom. */
#include <uapi/linux/ptrace.h>
#include "ksyscall.h"

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "ksyscall_send.bcc.h"	/* send() puts a record into rb */

/* A kprobe on the function of a system call: __x64_sys_kill() on x86. BCC's Python
 * finds its name for each architecture. In a function that is called syscall__*,
 * BCC finds the arguments of the call.
 */
int syscall__kill(struct pt_regs *ctx, int pid, int sig)
{
	return send(pid, 0, sig);
}

/* A signal for one thread: what raise(3) and pthread_kill(3) call. */
int syscall__tgkill(struct pt_regs *ctx, int pid, int tid, int sig)
{
	return send(pid, tid, sig);
}

/* --via tracepoint: the same calls, where the kernel has no kprobes. */
TRACEPOINT_PROBE(syscalls, sys_enter_kill)
{
	return send(args->pid, 0, args->sig);
}

TRACEPOINT_PROBE(syscalls, sys_enter_tgkill)
{
	return send(args->tgid, args->pid, args->sig);
}

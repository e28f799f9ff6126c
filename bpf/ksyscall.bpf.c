// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-ksyscall, libbpf dialect: who sends a signal to whom. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "ksyscall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "ksyscall_send.bpf.h"	/* send() puts a record into rb */

/* A kprobe on the function of a system call: __x64_sys_kill() on x86. SEC() finds
 * its name for each architecture, BPF_KSYSCALL() the arguments of the call.
 */
SEC("ksyscall/kill")
int BPF_KSYSCALL(ksyscall_kill, int pid, int sig)
{
	return send(pid, 0, sig);
}

/* A signal for one thread: what raise(3) and pthread_kill(3) call. */
SEC("ksyscall/tgkill")
int BPF_KSYSCALL(ksyscall_tgkill, int pid, int tid, int sig)
{
	return send(pid, tid, sig);
}

/* --via tracepoint: the same calls, where the kernel has no kprobes. */
SEC("tp/syscalls/sys_enter_kill")
int enter_kill(struct trace_event_raw_sys_enter *ctx)
{
	return send(ctx->args[0], 0, ctx->args[1]);
}

SEC("tp/syscalls/sys_enter_tgkill")
int enter_tgkill(struct trace_event_raw_sys_enter *ctx)
{
	return send(ctx->args[0], ctx->args[1], ctx->args[2]);
}

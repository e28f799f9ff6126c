// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mkdir, libbpf dialect: each directory that is made. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "mkdir.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Calls in progress: thread -> what we know so far. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "mkdir_call.bpf.h"	/* enter_vfs_mkdir() and leave_vfs_mkdir() */
#include "lib/args.bpf.h"

/* A kprobe: a breakpoint on an instruction, here the function's first. The
 * context is the CPU's registers, and some of them hold the arguments.
 */
SEC("kprobe/vfs_mkdir")
int kprobe__vfs_mkdir(struct pt_regs *ctx)
{
	struct dentry *dentry = (void *)register_arg(ctx, dentry_arg);
	__u32 mode = register_arg(ctx, mode_arg);

	return enter_vfs_mkdir(PT_REGS_SP(ctx), dentry, mode);
}

/* A kretprobe: runs when the function returns. A register holds the result. */
SEC("kretprobe/vfs_mkdir")
int kretprobe__vfs_mkdir(struct pt_regs *ctx)
{
	return leave_vfs_mkdir(PT_REGS_SP(ctx), PT_REGS_RC(ctx));
}

/* Two other ways to see the same: compare them with the pair above. */
#include "mkdir_fentry.bpf.h"
#include "mkdir_tracepoint.bpf.h"

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mkdir, BCC dialect: each directory that is made. */
#include <uapi/linux/ptrace.h>
#include <linux/dcache.h>
#include <linux/fs_struct.h>
#include <linux/sched.h>
#include "mkdir.h"

/* Calls in progress: thread -> what we know so far. */
BPF_HASH(calls, u64, struct call, 10240);

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. The
 * Python side passes its size in bytes to the compiler: -Drb_max_entries=
 */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "mkdir_call.bcc.h"	/* enter_vfs_mkdir() and leave_vfs_mkdir() */
#include "lib/args.bcc.h"

/* A kprobe: a breakpoint on an instruction, here the function's first. The
 * context is the CPU's registers, and some of them hold the arguments.
 */
int kprobe__vfs_mkdir(struct pt_regs *ctx)
{
	struct dentry *dentry = (void *)register_arg(ctx, dentry_arg);
	u32 mode = register_arg(ctx, mode_arg);

	return enter_vfs_mkdir(PT_REGS_SP(ctx), dentry, mode);
}

/* A kretprobe: runs when the function returns. A register holds the result. */
int kretprobe__vfs_mkdir(struct pt_regs *ctx)
{
	return leave_vfs_mkdir(PT_REGS_SP(ctx), PT_REGS_RC(ctx));
}

/* Another way to see the same: compare it with the pair above. The libbpf
 * dialect has fentry and fexit, too. BCC's KFUNC_PROBE() names the arguments by
 * the types of the kernel's own headers, and those have changed.
 */
#include "mkdir_tracepoint.bcc.h"

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Arguments of a kernel function, by a position from 0 that is known only when
 * the program is compiled; BCC dialect. Where the position is fixed, BCC names
 * the argument for us:
 *
 *	int kprobe__vfs_mkdir(struct pt_regs *ctx, struct inode *dir, ...)
 */
#pragma once

/* At a kprobe: the calling convention says which register holds which argument. */
static __always_inline u64 register_arg(struct pt_regs *ctx, u32 n)
{
	const u64 args[] = {
		PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx),
		PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),
	};

	return n < sizeof(args) / sizeof(args[0]) ? args[n] : 0;
}

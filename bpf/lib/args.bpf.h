/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Arguments of a kernel function, by a position from 0 that is known only when
 * the program is loaded; libbpf dialect.
 */
#pragma once

/* At a kprobe: the calling convention says which register holds which argument. */
static __always_inline __u64 register_arg(struct pt_regs *ctx, __u32 n)
{
	const __u64 args[] = {
		PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx),
		PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),
	};

	return n < sizeof(args) / sizeof(args[0]) ? args[n] : 0;
}

/* At fentry: the context is an array. The verifier accepts ctx[2], but no
 * index that it does not know, so a helper reads the element.
 */
static __always_inline __u64 array_arg(__u64 *ctx, __u32 n)
{
	__u64 arg = 0;

	bpf_probe_read_kernel(&arg, sizeof(arg), &ctx[n]);
	return arg;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mallocstacks, BCC dialect: how many bytes a call asks for. */
#pragma once

static u64 argument(struct pt_regs *ctx, int number)
{
	if (number == 1)
		return PT_REGS_PARM1(ctx);
	if (number == 2)
		return PT_REGS_PARM2(ctx);
	return PT_REGS_PARM3(ctx);
}

/* The bytes that are asked for. Every allocator refuses half the address space
 * or more: that counts as 0.
 */
static u64 requested(struct pt_regs *ctx)
{
	u64 size = argument(ctx, size_argument);
	u64 number = number_argument ? argument(ctx, number_argument) : 1;

	if (size && number > (~0ULL >> 1) / size)
		return 0;
	return size * number;
}

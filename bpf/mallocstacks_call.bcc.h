/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mallocstacks, BCC dialect: how many bytes a call asks for, and where
 * it returns to.
 */
#pragma once

static u64 argument(struct pt_regs *ctx, int number)
{
	if (number == 1)
		return PT_REGS_PARM1(ctx);
	if (number == 2)
		return PT_REGS_PARM2(ctx);
	return PT_REGS_PARM3(ctx);
}

/* The requested bytes. Every allocator refuses half the address space or more:
 * such a request counts as 0.
 */
static u64 requested(struct pt_regs *ctx)
{
	u64 size = argument(ctx, size_argument);
	u64 number = number_argument ? argument(ctx, number_argument) : 1;

	if (size && number > (~0ULL >> 1) / size)
		return 0;
	return size * number;
}

/* On x86 the call instruction put it on top of the stack. Elsewhere it is in a
 * register.
 */
static u64 return_address(struct pt_regs *ctx)
{
#ifdef __x86_64__
	u64 address = 0;

	bpf_probe_read_user(&address, sizeof(address), (void *)PT_REGS_SP(ctx));
	return address;
#else
	return PT_REGS_RET(ctx);
#endif
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mallocstacks, libbpf dialect: how many bytes a call asks for, and where
 * it returns to.
 */
#pragma once

static __u64 argument(struct pt_regs *ctx, int number)
{
	__u64 first = PT_REGS_PARM1(ctx);
	__u64 second = PT_REGS_PARM2(ctx);
	__u64 third = PT_REGS_PARM3(ctx);

	/* Read all, then choose. Otherwise the compiler would compute an offset
	 * into ctx, which the verifier refuses.
	 */
	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	return number == 1 ? first : number == 2 ? second : third;
}

/* The requested bytes. Every allocator refuses half the address space or more:
 * such a request counts as 0.
 */
static __u64 requested(struct pt_regs *ctx)
{
	__u64 size = argument(ctx, size_argument);
	__u64 number = number_argument ? argument(ctx, number_argument) : 1;

	if (size && number > (~0ULL >> 1) / size)
		return 0;
	return size * number;
}

/* On x86 the call instruction put it on top of the stack. Elsewhere it is in a
 * register.
 */
static __u64 return_address(struct pt_regs *ctx)
{
#ifdef bpf_target_x86
	__u64 address = 0;

	bpf_probe_read_user(&address, sizeof(address), (void *)PT_REGS_SP(ctx));
	return address;
#else
	return PT_REGS_RET(ctx);
#endif
}

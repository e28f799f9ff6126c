/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The argument of a USDT probe, BCC dialect.
 *
 * BCC writes this function itself when it has read the program's ELF file. That
 * file may be anybody's, so here a process without privileges reads it, and what
 * comes of that are numbers (see loader/hooks/usdt.py):
 *
 *	-Dusdt_kind=		0: a constant, 1: in a register, 2: in memory
 *	-Dusdt_register=	where the register is in struct pt_regs, in bytes
 *	-Dusdt_value=		the constant, or how far from the register's address
 *	-Dusdt_signed=		whether it has a sign
 *	-Dusdt_shift=		64 less the bits that it has
 */
#pragma once

static __always_inline int _bpf_readarg_handle_probe_1(struct pt_regs *ctx,
						       void *dest, size_t len)
{
	u64 *registers = (void *)ctx;
	u64 value = usdt_value;

	if (usdt_kind == 1)
		value = registers[usdt_register / 8];
	if (usdt_kind == 2)
		bpf_probe_read_user(&value, sizeof(value),
				    (void *)(registers[usdt_register / 8] + usdt_value));
	value <<= usdt_shift;
	if (usdt_signed)
		*(s64 *)dest = (s64)value >> usdt_shift;
	else
		*(u64 *)dest = value >> usdt_shift;
	return 0;
}

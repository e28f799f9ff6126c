/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The first argument of a USDT probe, BCC dialect: what bpf_usdt_readarg(1, ...) calls
 * in handle_probe().
 *
 * BCC itself writes this function after it reads the program's ELF file, as root. That
 * file may be anybody's, so here a process without privileges reads it, and this function
 * covers every place that an argument may be in. Numbers say which place it is
 * (loader/hooks/usdt.py), by the names that they have in libbpf's usdt.bpf.h:
 *
 *	-Dusdt_arg_type=	0: a constant, 1: in a register, 2: in memory
 *	-Dusdt_reg_off=		where the register is in struct pt_regs, in bytes
 *	-Dusdt_val_off=		the constant, or how far from the register's address
 *	-Dusdt_arg_signed=	whether it has a sign
 *	-Dusdt_arg_bitshift=	64 less the bits that it has
 */
#pragma once

static __always_inline int _bpf_readarg_handle_probe_1(struct pt_regs *ctx,
						       void *dest, size_t len)
{
	u64 *registers = (void *)ctx;
	u64 value = usdt_val_off;

	if (usdt_arg_type == 1)
		value = registers[usdt_reg_off / 8];
	if (usdt_arg_type == 2)
		bpf_probe_read_user(&value, sizeof(value),
				    (void *)(registers[usdt_reg_off / 8] + usdt_val_off));
	value <<= usdt_arg_bitshift;
	if (usdt_arg_signed)
		*(s64 *)dest = (s64)value >> usdt_arg_bitshift;
	else
		*(u64 *)dest = value >> usdt_arg_bitshift;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The first argument of a USDT probe, libbpf dialect.
 *
 * libbpf's own <bpf/usdt.bpf.h> looks it up in maps, which libbpf fills when it has
 * read the program's ELF file. That file may be anybody's, so here a process without
 * privileges reads it, and what comes of that are numbers: see loader/hooks/usdt.py.
 */
#pragma once

const volatile int usdt_kind;		/* 0: a constant, 1: in a register, 2: in memory */
const volatile int usdt_register;	/* where that is in struct pt_regs, in bytes */
const volatile __s64 usdt_value;	/* the constant, or how far from the address */
const volatile bool usdt_signed;	/* whether it has a sign */
const volatile int usdt_shift;		/* 64 less the bits that it has */

static __always_inline __s64 usdt_argument(struct pt_regs *ctx)
{
	__u64 value = usdt_value;

	if (usdt_kind)
		bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + usdt_register);
	if (usdt_kind == 2)
		bpf_probe_read_user(&value, sizeof(value), (void *)(value + usdt_value));
	value <<= usdt_shift;
	return usdt_signed ? (__s64)value >> usdt_shift : value >> usdt_shift;
}

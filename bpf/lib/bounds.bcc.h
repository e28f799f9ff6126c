/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Bounds that the verifier can follow, BCC dialect.
 *
 * After a comparison the verifier knows the bounds of the register that was
 * compared, and of no other. The compiler may compare one register and then use
 * a copy. barrier_var(x), as in libbpf's bpf_helpers.h, makes it forget what it
 * knows of x, so that from there on x is in one register.
 */
#pragma once

#define barrier_var(var) asm volatile("" : "+r"(var))

/* Unsigned, so a negative errno is above every limit, too. */
static __always_inline u64 at_most(u64 limit, u64 size)
{
	barrier_var(size);
	return size > limit ? limit : size;
}

static __always_inline u64 zero_above(u64 limit, u64 size)
{
	barrier_var(size);
	return size > limit ? 0 : size;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Bounds that the verifier can follow, libbpf dialect.
 *
 * After a comparison the verifier knows the bounds of the register that was
 * compared, and of no other. The compiler may compare one register and then use
 * a copy. barrier_var(x), from bpf_helpers.h, makes it forget what it knows of
 * x, so that from there on x is in one register.
 */
#pragma once

/* Unsigned, so a negative errno is above every limit, too. */
static __always_inline __u64 at_most(__u64 limit, __u64 size)
{
	barrier_var(size);
	return size > limit ? limit : size;
}

static __always_inline __u64 zero_above(__u64 limit, __u64 size)
{
	barrier_var(size);
	return size > limit ? 0 : size;
}

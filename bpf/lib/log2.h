/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The logarithm for histograms, the same in both dialects. */
#pragma once

/* How often a number can be halved until it is 1; of 0 it is 0. It has no loop: each
 * step finds one bit of the result.
 */
static __always_inline __u32 log2_of(__u64 number)
{
	__u32 result = 0, bit;

	bit = (number > 0xffffffff) << 5;
	number >>= bit;
	result |= bit;
	bit = (number > 0xffff) << 4;
	number >>= bit;
	result |= bit;
	bit = (number > 0xff) << 3;
	number >>= bit;
	result |= bit;
	bit = (number > 0xf) << 2;
	number >>= bit;
	result |= bit;
	bit = (number > 3) << 1;
	number >>= bit;
	result |= bit;
	return result | (number > 1);
}

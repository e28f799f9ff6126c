/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BPF_STACK_TRACE(name, entries) rounds its number of entries up. */
#pragma once

#define roundup_pow_of_two(n) \
	((n) <= 1 ? 1UL : 1UL << (64 - __builtin_clzl((unsigned long)(n) - 1)))

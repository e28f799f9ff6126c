/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* <bpf/usdt.bpf.h> wants this one. Distributions have it where clang -target bpf does not look. */
#include <asm-generic/errno.h>

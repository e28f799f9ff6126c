/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BCC includes this file before anything else; the kernel's own defines
 * every CONFIG_ option here. These are the ones that BCC itself asks for.
 */
#pragma once

#define CONFIG_BPF_SYSCALL 1

/* A system call's function gets its arguments in a struct pt_regs: since Linux
 * 4.17 on x86-64, since 4.19 on arm64.
 */
#define CONFIG_ARCH_HAS_SYSCALL_WRAPPER 1

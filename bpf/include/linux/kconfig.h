/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BCC includes this file before anything else; the kernel's own defines
 * every CONFIG_ option here. This is the one that BCC itself asks for.
 */
#pragma once

#define CONFIG_BPF_SYSCALL 1

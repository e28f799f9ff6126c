/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BCC asks only whether the kernel is newer than 4.8. The suite's oldest is
 * 5.10, and since 5.0 no kernel compares a program's version with its own:
 * commit 6c4fc209fcf9 ("bpf: remove useless version check for prog load").
 */
#pragma once

#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)

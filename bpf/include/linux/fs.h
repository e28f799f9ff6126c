/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Empty: the loader writes the kernel's structures from the running kernel's
 * BTF. Where there is no BTF, BCC uses the kernel's own header instead.
 */
#pragma once

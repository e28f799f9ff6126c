/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BPF_RINGBUF_OUTPUT(name, pages) counts its size in pages. The loader knows
 * the size of the running kernel's and passes -DPAGE_SIZE.
 */
#pragma once

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096
#endif

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Errors, as the helpers return them: -ENOENT. From include/uapi/asm-generic/errno-base.h. */
#pragma once

#define ENOENT 2	/* no such element */
#define EAGAIN 11	/* no room now */
#define ENOMEM 12	/* no memory */

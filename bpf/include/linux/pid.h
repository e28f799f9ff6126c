/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* struct pid comes from the loader, like all kernel structures. */
#pragma once

#define PIDTYPE_TGID 1		/* of enum pid_type: the number of a process */

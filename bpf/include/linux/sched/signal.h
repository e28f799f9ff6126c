/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* struct signal_struct comes from the loader, like all kernel structures. */
#pragma once

#define SIGNAL_GROUP_EXIT 4	/* in signal_struct.flags: group_exit_code counts */

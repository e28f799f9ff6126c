/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The key of the map: a name, as long as a process's can be. */
#pragma once

#define TASK_COMM_LEN 16

struct name {
	char text[TASK_COMM_LEN];
};

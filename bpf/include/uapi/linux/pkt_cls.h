/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a program at traffic control can answer. */
#pragma once

#define TC_ACT_UNSPEC (-1)	/* nothing: the next one is asked */

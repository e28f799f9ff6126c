/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What openat2(2) is given. An interface: fixed, so not relocated. */
#pragma once

struct open_how {
	__u64 flags;
	__u64 mode;
	__u64 resolve;
};

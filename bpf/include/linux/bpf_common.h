/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Empty: BCC's helpers include it, and no example needs anything from it. */
#pragma once

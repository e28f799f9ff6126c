/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Empty: BCC carries this header itself and includes its own copy first. */
#pragma once

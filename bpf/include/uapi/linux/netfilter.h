/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a program at one of netfilter's hooks can answer. */
#pragma once

#define NF_DROP 0
#define NF_ACCEPT 1

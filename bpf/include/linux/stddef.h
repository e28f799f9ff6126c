/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

#define offsetof(type, member) __builtin_offsetof(type, member)

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What comes behind an IP header: its protocol, or IPv6's next header. */
#pragma once

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

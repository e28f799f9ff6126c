/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose a packet is, for sockets that get all of them. */
#pragma once

#define PACKET_HOST 0		/* for this machine, and not sent by it */

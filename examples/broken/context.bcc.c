// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a write to the context. */

TRACEPOINT_PROBE(syscalls, sys_enter_mkdirat)
{
	/* Broken: the context is a copy of the call's arguments, for reading.
	 * A tracing program watches and cannot change what it sees.
	 */
	args->mode = 0700;
	return 0;
}

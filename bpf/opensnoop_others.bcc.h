/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* openat2(), creat() and open_by_handle_at(), for ebpf-opensnoop; BCC dialect: a
 * part of opensnoop.bcc.c.
 */

/* Flags and mode are in a structure in the caller's memory: struct open_how.
 * read_how() reads it when the call ends.
 */
TRACEPOINT_PROBE(syscalls, sys_enter_openat2)
{
	struct call call = {
		.kind = CALL_OPENAT2,
		.dirfd = args->dfd,
		.path = (u64)args->filename,
		.how = (u64)args->how,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat2)
{
	return end(args->ret);
}

/* The oldest way to make a file. arm64 never had it. */
TRACEPOINT_PROBE(syscalls, sys_enter_creat)
{
	struct call call = {
		.kind = CALL_CREAT,
		.dirfd = AT_FDCWD,
		.path = (u64)args->pathname,
		.flags = O_WRONLY | O_CREAT | O_TRUNC,
		.mode = args->mode,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_creat)
{
	return end(args->ret);
}

/* There is no path: the caller has a handle, as an NFS server does. */
TRACEPOINT_PROBE(syscalls, sys_enter_open_by_handle_at)
{
	struct call call = {
		.kind = CALL_OPEN_BY_HANDLE_AT,
		.dirfd = args->mountdirfd,
		.flags = (u32)args->flags,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_open_by_handle_at)
{
	return end(args->ret);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* openat2(), for ebpf-opensnoop; BCC dialect: a part of opensnoop.bcc.c. Its
 * flags and mode are in a structure in the caller's memory: struct open_how.
 * read_how() reads it when the call ends.
 */

TRACEPOINT_PROBE(syscalls, sys_enter_openat2)
{
	struct call call = {
		.dirfd = args->dfd,
		.path = (u64)args->filename,
		.how = (u64)args->how,
		.slot = 2,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat2)
{
	return end(args->ret);
}

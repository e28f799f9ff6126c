/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* openat2(), creat() and open_by_handle_at(), for ebpf-opensnoop; libbpf dialect:
 * a part of opensnoop.bpf.c.
 */

/* Flags and mode are in a structure in the caller's memory: struct open_how.
 * read_how() reads it when the call ends.
 */
SEC("tp/syscalls/sys_enter_openat2")
int enter_openat2(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.kind = CALL_OPENAT2,
		.dirfd = ctx->args[0],
		.path = ctx->args[1],
		.how = ctx->args[2],
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_openat2")
int exit_openat2(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

/* The oldest way to make a file. arm64 never had it. */
SEC("tp/syscalls/sys_enter_creat")
int enter_creat(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.kind = CALL_CREAT,
		.dirfd = AT_FDCWD,
		.path = ctx->args[0],
		.flags = O_WRONLY | O_CREAT | O_TRUNC,
		.mode = ctx->args[1],
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_creat")
int exit_creat(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

/* There is no path: the caller has a handle, as an NFS server does. */
SEC("tp/syscalls/sys_enter_open_by_handle_at")
int enter_open_by_handle_at(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.kind = CALL_OPEN_BY_HANDLE_AT,
		.dirfd = ctx->args[0],
		.flags = (__u32)ctx->args[2],
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_open_by_handle_at")
int exit_open_by_handle_at(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* openat2(), for ebpf-opensnoop; libbpf dialect: a part of opensnoop.bpf.c. Its
 * flags and mode are in a structure in the caller's memory: struct open_how.
 * read_how() reads it when the call ends.
 */

SEC("tp/syscalls/sys_enter_openat2")
int enter_openat2(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.dirfd = ctx->args[0],
		.path = ctx->args[1],
		.how = ctx->args[2],
		.slot = 2,
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_openat2")
int exit_openat2(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

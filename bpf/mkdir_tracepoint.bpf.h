/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mkdir --via tracepoint, libbpf dialect: a part of mkdir.bpf.c. */

/* A tracepoint: a place in the kernel that was made to be hooked, here where the
 * system calls mkdir() and mkdirat() begin and end. The context is a record.
 */
static __always_inline int enter_syscall(__u32 slot, unsigned long path,
					 __u32 mode)
{
	struct call call = { .path = path, .slot = slot };

	if (is_wanted())
		begin(&call, mode);
	return 0;
}

/* Read the path here and not on entry. By now the kernel has also read it, so it
 * is in memory; a program cannot wait for a page that is not. The Python side
 * takes the last name in it.
 */
static __always_inline int leave_syscall(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct event *event;

	if (!call)
		return 0;
	event = end(call, ret);
	if (event)
		send(event, bpf_probe_read_user_str(event->path, PATH_LEN,
						    (void *)call->path));
	return 0;
}

SEC("tp/syscalls/sys_enter_mkdir")
int enter_mkdir(struct trace_event_raw_sys_enter *ctx)
{
	return enter_syscall(0, ctx->args[0], ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_mkdir")
int exit_mkdir(struct trace_event_raw_sys_exit *ctx)
{
	return leave_syscall(ctx->ret);
}

/* The same with a directory to start from, which is the first argument. */
SEC("tp/syscalls/sys_enter_mkdirat")
int enter_mkdirat(struct trace_event_raw_sys_enter *ctx)
{
	return enter_syscall(1, ctx->args[1], ctx->args[2]);
}

SEC("tp/syscalls/sys_exit_mkdirat")
int exit_mkdirat(struct trace_event_raw_sys_exit *ctx)
{
	return leave_syscall(ctx->ret);
}

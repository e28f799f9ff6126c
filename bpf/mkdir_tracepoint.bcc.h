/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mkdir --via tracepoint, BCC dialect: a part of mkdir.bcc.c. */

/* A tracepoint: a place in the kernel that was made to be hooked, here where the
 * system calls mkdir() and mkdirat() begin and end. args is its record.
 */
static __always_inline int enter_syscall(u32 slot, const char *path,
					 u32 mode)
{
	struct call call = { .path = (u64)path, .slot = slot };

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
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);
	struct event *event;

	if (!call)
		return 0;
	event = end(call, ret);
	if (event)
		send(event, bpf_probe_read_user_str(event->path, PATH_LEN,
						    (void *)call->path));
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_mkdir)
{
	return enter_syscall(0, args->pathname, args->mode);
}

TRACEPOINT_PROBE(syscalls, sys_exit_mkdir)
{
	return leave_syscall(args->ret);
}

/* The same with a directory to start from. */
TRACEPOINT_PROBE(syscalls, sys_enter_mkdirat)
{
	return enter_syscall(1, args->pathname, args->mode);
}

TRACEPOINT_PROBE(syscalls, sys_exit_mkdirat)
{
	return leave_syscall(args->ret);
}

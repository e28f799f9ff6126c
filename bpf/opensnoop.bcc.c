// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-opensnoop, BCC dialect: each file that is opened. */
#include <uapi/linux/openat2.h>
#include <linux/sched.h>
#include "opensnoop.h"

/* Calls in progress: thread -> what we know so far. */
BPF_HASH(calls, u64, struct call, calls_max_entries);

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "opensnoop_event.bcc.h"	/* is_wanted(), send() */

/* A call begins: remember it until it ends. The key is the thread, since a thread
 * is in one system call at a time.
 */
static __always_inline int begin(struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();
	int zero = 0;

	if (is_wanted() && calls.update(&thread, call))
		lost.atomic_increment(zero);
	return 0;
}

/* A call ends. A signal ends it, too, even one that kills the thread, so nothing
 * stays behind in the map.
 */
static __always_inline int end(long ret)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);

	if (!call)	/* filtered out, or it began before we were attached */
		return 0;
	if (ret < 0 || !only_failed)
		send(call, ret);
	calls.delete(&thread);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_open)
{
	struct call call = {
		.kind = CALL_OPEN,
		.dirfd = AT_FDCWD,
		.path = (u64)args->filename,
		.flags = (u32)args->flags,
		.mode = args->mode,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_open)
{
	return end(args->ret);
}

/* The same with a directory to start from: what the C library calls. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct call call = {
		.kind = CALL_OPENAT,
		.dirfd = args->dfd,
		.path = (u64)args->filename,
		.flags = (u32)args->flags,
		.mode = args->mode,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat)
{
	return end(args->ret);
}

#include "opensnoop_others.bcc.h"	/* openat2(), creat(), open_by_handle_at() */

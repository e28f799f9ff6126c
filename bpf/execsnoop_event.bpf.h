/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The event for a call, libbpf dialect: a part of execsnoop.bpf.c. */
#include "lib/scratch.bpf.h"
#include "lib/task.bpf.h"
#include "execsnoop_args.bpf.h"

__u64 lost;	/* calls that found a map full, or whose end we missed */

/* Send the event with this many bytes of file name and arguments. */
static __always_inline void send(void *ctx, struct event *event, __u64 start,
				 __u64 size)
{
	__u64 length = sizeof(*event) - sizeof(event->text) + start;
	__u64 sent = at_most(ARGS_LEN, size);

	if (sent < size)
		event->incomplete = true;
	event->filename_bytes = start;
	event->args_bytes = sent;
	/* The event ends where its text ends. */
	if (bpf_perf_event_output(ctx, &pb, BPF_F_CURRENT_CPU, event,
				  length + sent))
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline void report(void *ctx, struct call *call, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct event *event = scratch_event(call->slot);
	__u64 start, size;

	if (!event)
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->dirfd = call->dirfd;
	read_names(event);
	event->interpreted = call->interpreted;
	event->keeps_argv0 = call->keeps_argv0;
	if ((__u64)mm != call->mm) {
		/* Above the arguments is the environment, then the file name. */
		start = read_filename(event, BPF_CORE_READ(mm, env_end));
		size = read_new(event, start, mm);
	} else {
		start = read_filename(event, call->filename);
		size = read_old(event, start, (void *)call->argv);
	}
	send(ctx, event, start, size);
}

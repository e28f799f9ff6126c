/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which processes are wanted, libbpf dialect: those of -p and -c, with --follow also those
 * that they start, and those of a cgroup. What is not asked for costs nothing.
 */
#pragma once

#include <bpf/bpf_core_read.h>

const volatile bool by_process;	/* only those in processes */
const volatile bool by_cgroup;	/* only those in the cgroup of wanted_cgroup, or below it */

__u64 not_followed;	/* processes that found the map full */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);	/* process ID */
	__type(value, __u64);	/* its signal_struct, which its threads share; or 0 */
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));	/* file descriptor of its directory */
} wanted_cgroup SEC(".maps");

static __always_inline bool process_matches(void)
{
	__u32 pid;

	if (by_process) {
		pid = bpf_get_current_pid_tgid() >> 32;
		if (!bpf_map_lookup_elem(&processes, &pid))
			return false;
	}
	return !by_cgroup || bpf_current_task_under_cgroup(&wanted_cgroup, 0) == 1;
}

/* With --follow. A new process does not run yet, so nothing that it does is missed. */
SEC("raw_tp/sched_process_fork")
int follow_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0];
	struct task_struct *child = (void *)ctx->args[1];
	__u32 from = BPF_CORE_READ(parent, tgid);
	__u32 to = BPF_CORE_READ(child, tgid);
	__u64 process = (__u64)BPF_CORE_READ(child, signal);

	if (to == from)	/* a new thread */
		return 0;
	if (!bpf_map_lookup_elem(&processes, &from)) {
		/* Its ID may be that of one that has ended: see below. */
		bpf_map_delete_elem(&processes, &to);
		return 0;
	}
	if (bpf_map_update_elem(&processes, &to, &process, BPF_ANY))
		__sync_fetch_and_add(&not_followed, 1);
	return 0;
}

/* Once nothing of a process is left. Its ID was free a moment earlier, and may be another
 * one's by now.
 */
SEC("raw_tp/sched_process_free")
int follow_free(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	__u32 pid = BPF_CORE_READ(task, tgid);
	__u64 *process;

	if (BPF_CORE_READ(task, pid) != pid)	/* its first thread goes last */
		return 0;
	process = bpf_map_lookup_elem(&processes, &pid);
	if (process && (!*process || *process == (__u64)BPF_CORE_READ(task, signal)))
		bpf_map_delete_elem(&processes, &pid);
	return 0;
}

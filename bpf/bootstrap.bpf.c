// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-bootstrap, libbpf dialect: processes as they begin and end. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "bootstrap.h"
#include "lib/processes.bpf.h"	/* process_matches() */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __u64 min_duration_ns;	/* show exits only after this long */
const volatile bool use_perf;		/* send through pb instead of rb */

__u64 lost;	/* events that found the buffer full */
__u64 untimed;	/* execs that found start full */

/* When each process began to execute its program: PID -> nanoseconds since boot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, pid_t);
	__type(value, __u64);
} start SEC(".maps");

/* Processes whose leader ended before the other threads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, pid_t);
	__type(value, __u8);
} leaderless SEC(".maps");

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* The older kind: one for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} pb SEC(".maps");

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline void send(void *ctx, struct event *e)
{
	long err;

	if (use_perf)
		err = bpf_perf_event_output(ctx, &pb, BPF_F_CURRENT_CPU,
					    e, sizeof(*e));
	else
		err = bpf_ringbuf_output(&rb, e, sizeof(*e), 0);

	/* The buffer is full: count the event, and the tool says so. Two
	 * CPUs may get here at once, so the addition must be atomic.
	 */
	if (err)
		__sync_fetch_and_add(&lost, 1);
}

/* What exec and exit have in common. */
static __always_inline void fill(struct event *e, struct task_struct *task)
{
	e->time_ns = bpf_ktime_get_ns();
	/* A program cannot follow a kernel pointer directly: each step goes
	 * through a helper that survives a bad address. BPF_CORE_READ() writes
	 * these steps.
	 */
	e->pid = BPF_CORE_READ(task, tgid);
	e->ppid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
}

SEC("tp/sched/sched_process_exec")
int handle_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event e = { .kind = EVENT_EXEC };
	unsigned int offset;

	fill(&e, task);

	/* Remember when this PID began, for the exit to come. */
	bpf_map_delete_elem(&leaderless, &e.pid);
	if (bpf_map_update_elem(&start, &e.pid, &e.time_ns, BPF_ANY))
		__sync_fetch_and_add(&untimed, 1);

	/* Show only long-lived processes, and only when they end. */
	if (min_duration_ns)
		return 0;
	/* Those of -p, -c or --cgroup. The maps have all: a process can come to a
	 * cgroup after its exec.
	 */
	if (!process_matches())
		return 0;

	/* The file name follows the fixed part of the record: its size and its
	 * offset are in one number.
	 */
	e.truncated = ctx->__data_loc_filename >> 16 > sizeof(e.filename);
	offset = ctx->__data_loc_filename & 0xffff;
	bpf_probe_read_kernel_str(&e.filename, sizeof(e.filename),
				  (void *)ctx + offset);
	send(ctx, &e);
	return 0;
}

/* What the parent gets from wait(2). After exit(3) or a signal, all threads
 * end with one code; otherwise the leader's code counts.
 */
static __always_inline __u32 exit_code_of(struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(task, signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

/* Not every end of a thread is the end of a process: see below. */
static __always_inline bool process_ends(struct signal_struct *signal,
					 bool is_leader, pid_t pid);

SEC("tp/sched/sched_process_exit")
int handle_exit(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	pid_t pid = bpf_get_current_pid_tgid() >> 32;
	struct event e = { .kind = EVENT_EXIT };
	__u64 *began;

	if (!process_ends(BPF_CORE_READ(task, signal),
			  BPF_CORE_READ(task, pid) == pid, pid))
		return 0;

	fill(&e, task);
	e.exit_code = exit_code_of(task);

	/* A process begins as a copy of its parent (fork); the kernel has the time. */
	e.duration_ns = e.time_ns - BPF_CORE_READ(task, group_leader, start_time);

	/* Unknown if there was no exec, or if it was before we were attached. */
	began = bpf_map_lookup_elem(&start, &pid);
	if (began)
		e.since_exec_ns = e.time_ns - *began;
	bpf_map_delete_elem(&start, &pid);

	if (min_duration_ns && e.duration_ns < min_duration_ns)
		return 0;
	if (!process_matches())
		return 0;
	send(ctx, &e);
	return 0;
}

static __always_inline int live_threads(struct signal_struct *signal)
{
	return BPF_CORE_READ(signal, live.counter);
}

/* A thread is not a process: a process ends with its last thread, and the
 * tracepoint sees every thread. Usually the first thread, the leader, ends last:
 * it waits for the others, or they are killed with it. If it ends first, remember
 * that: then the exit of the last other thread counts.
 */
static __always_inline bool process_ends(struct signal_struct *signal,
					 bool is_leader, pid_t pid)
{
	__u8 one = 1;

	if (!is_leader) {
		if (live_threads(signal))
			return false;
		/* Two last threads may both see 0. Only one of them succeeds
		 * in deleting the entry.
		 */
		return bpf_map_delete_elem(&leaderless, &pid) == 0;
	}
	if (!live_threads(signal))
		return true;
	if (bpf_map_update_elem(&leaderless, &pid, &one, BPF_ANY)) {
		__sync_fetch_and_add(&lost, 1);	/* the map is full */
		return false;
	}
	/* The last thread may have looked just before that. */
	return !live_threads(signal) &&
	       bpf_map_delete_elem(&leaderless, &pid) == 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-bootstrap, BCC dialect: processes as they begin and end. */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include "bootstrap.h"
#include "lib/processes.bcc.h"	/* process_matches() */

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dmin_duration_ns=	show exits only after this long
 *	-Duse_perf=		send through pb instead of rb
 *	-Drb_max_entries=	size of rb in bytes
 */

BPF_ARRAY(lost, u64, 1);	/* events that found the buffer full */
BPF_ARRAY(untimed, u64, 1);	/* execs that found start full */

/* When each process began to execute its program: PID -> nanoseconds since boot. */
BPF_HASH(start, pid_t, u64, 8192);

/* Processes whose leader ended before the other threads. */
BPF_HASH(leaderless, pid_t, u8, 8192);

#if use_perf
/* The older kind of buffer: one for each CPU. */
BPF_PERF_OUTPUT(pb);
#else
/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);
#endif

static __always_inline void send(void *ctx, struct event *e)
{
	int zero = 0;
	long err;

#if use_perf
	err = pb.perf_submit(ctx, e, sizeof(*e));
#else
	err = rb.ringbuf_output(e, sizeof(*e), 0);
#endif

	/* The buffer is full: count the event, and the tool says so. Two
	 * CPUs may get here at once, so the addition must be atomic.
	 */
	if (err)
		lost.atomic_increment(zero);
}

/* What exec and exit have in common. */
static __always_inline void fill(struct event *e, struct task_struct *task)
{
	e->time_ns = bpf_ktime_get_ns();
	/* A program cannot follow a kernel pointer directly: each step goes
	 * through a helper that survives a bad address. BCC writes these steps.
	 */
	e->pid = task->tgid;
	e->ppid = task->real_parent->tgid;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event e = { .kind = EVENT_EXEC };
	int zero = 0;

	fill(&e, task);

	/* Remember when this PID began, for the exit to come. */
	leaderless.delete(&e.pid);
	if (start.update(&e.pid, &e.time_ns))
		untimed.atomic_increment(zero);

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
	e.truncated = args->data_loc_filename >> 16 > sizeof(e.filename);
	TP_DATA_LOC_READ_STR(&e.filename, filename, sizeof(e.filename));
	send(args, &e);
	return 0;
}

/* What the parent gets from wait(2). After exit(3) or a signal, all threads
 * end with one code; otherwise the leader's code counts.
 */
static __always_inline u32 exit_code_of(struct task_struct *task)
{
	if (task->signal->flags & SIGNAL_GROUP_EXIT)
		return task->signal->group_exit_code;
	return task->group_leader->exit_code;
}

/* Not every end of a thread is the end of a process: see below. */
static __always_inline bool process_ends(struct signal_struct *signal,
					 bool is_leader, pid_t pid);

TRACEPOINT_PROBE(sched, sched_process_exit)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	pid_t pid = bpf_get_current_pid_tgid() >> 32;
	struct event e = { .kind = EVENT_EXIT };
	u64 *began;

	if (!process_ends(task->signal, task->pid == pid, pid))
		return 0;

	fill(&e, task);
	e.exit_code = exit_code_of(task);

	/* A process begins as a copy of its parent (fork); the kernel has the time. */
	e.duration_ns = e.time_ns - task->group_leader->start_time;

	/* Unknown if there was no exec, or if it was before we were attached. */
	began = start.lookup(&pid);
	if (began)
		e.since_exec_ns = e.time_ns - *began;
	start.delete(&pid);

	if (min_duration_ns && e.duration_ns < min_duration_ns)
		return 0;
	if (!process_matches())
		return 0;
	send(args, &e);
	return 0;
}

/* BCC rewrites signal->live only in a function that is above its caller. This one
 * is below, so the read is written out.
 */
static __always_inline int live_threads(struct signal_struct *signal)
{
	int live = 0;

	bpf_probe_read_kernel(&live, sizeof(live), &signal->live.counter);
	return live;
}

/* A thread is not a process: a process ends with its last thread, and the
 * tracepoint sees every thread. Usually the first thread, the leader, ends last:
 * it waits for the others, or they are killed with it. If it ends first, remember
 * that: then the exit of the last other thread counts.
 */
static __always_inline bool process_ends(struct signal_struct *signal,
					 bool is_leader, pid_t pid)
{
	int first = 0;
	u8 one = 1;

	if (!is_leader) {
		if (live_threads(signal))
			return false;
		/* Two last threads may both see 0. Only one of them succeeds
		 * in deleting the entry.
		 */
		return leaderless.delete(&pid) == 0;
	}
	if (!live_threads(signal))
		return true;
	if (leaderless.update(&pid, &one)) {
		lost.atomic_increment(first);	/* the map is full */
		return false;
	}
	/* The last thread may have looked just before that. */
	return !live_threads(signal) && leaderless.delete(&pid) == 0;
}

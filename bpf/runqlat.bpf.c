// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-runqlat, libbpf dialect: how long threads wait for a CPU. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "runqlat.h"
#include "lib/log2.h"
#include "lib/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 count_by;		/* enum by: a histogram for each, or one for all */
const volatile __u32 only_pid;		/* the threads of this process; 0: of all */
const volatile __u32 unit_ns = 1000;	/* what the slots count: microseconds */

__u64 lost;	/* waits that found one of the maps full */

/* Since when each thread waits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);	/* --entries changes it */
	__type(key, __u32);
	__type(value, struct histogram);
} histograms SEC(".maps");

#include "runqlat_wait.bpf.h"	/* is_running(), begin(), end() */

/* A raw tracepoint whose arguments have types, from the kernel's BTF: the program
 * may follow a pointer as C does.
 */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(handle_wakeup, struct task_struct *task)
{
	return begin(task);
}

/* The first time. */
SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(handle_wakeup_new, struct task_struct *task)
{
	return begin(task);
}

/* A CPU goes from one thread to the next. A thread that could go on, but must
 * leave the CPU to another one, waits from now on.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(handle_switch, bool preempted, struct task_struct *previous,
	     struct task_struct *next)
{
	if (preempted || is_running(previous))
		begin(previous);
	return end(next);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-procinfo, libbpf dialect: who a process is, in all its namespaces. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "procinfo.h"
#include "lib/processes.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __s32 only_pid;	/* this process, as the tool counts; 0: all */
const volatile __s64 only_uid;	/* processes of this user; -1: of all */
const volatile __s32 tool_pid;	/* the tool's PID, as the tool sees it */
const volatile __u32 tool_pidns;	/* and the number of its PID namespace */

__u64 target;	/* the PID of only_pid's process, once it was found */
__u64 lost;	/* events that found the buffer full */

/* What each process was when it last executed a program. We do not see processes
 * end, so an ordinary hash would fill up. When this one is full, it drops the
 * entry that was used least recently (LRU).
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);	/* the Python side decides */
	__type(key, pid_t);
	__type(value, struct past);
} last SEC(".maps");

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

/* Below: a process as the kernel knows it. A program cannot follow a kernel
 * pointer directly: each step goes through a helper that survives a bad address.
 * BPF_CORE_READ() writes these steps, and libbpf fills in the offset of the
 * member in the running kernel.
 */

/* The numbers of a process: it has one in each PID namespace that it is in. */
static __always_inline struct pid *numbers_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
}

/* How deep its own PID namespace is: the initial one has level 0. */
static __always_inline __u32 level_of(struct pid *pid)
{
	return BPF_CORE_READ(pid, level);
}

/* The PID namespace that gave it its number at a level. */
static __always_inline struct pid_namespace *namespace_at(struct pid *pid,
							  __u32 level)
{
	return BPF_CORE_READ(pid, numbers[level].ns);
}

/* The number of a process in a PID namespace; 0 if it has none there. */
static __always_inline __s32 number_in(struct pid *pid, __u32 level,
				       struct pid_namespace *ns)
{
	if (level_of(pid) >= level && namespace_at(pid, level) == ns)
		return BPF_CORE_READ(pid, numbers[level].nr);
	return 0;
}

static __always_inline void fill_numbers(struct event *e,
					 struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct pid *pid = numbers_of(task);
	__u32 level = level_of(pid);
	struct pid_namespace *ns = namespace_at(pid, level);

	/* The kernel's tgid is what user space calls the process ID. */
	e->pid = BPF_CORE_READ(task, tgid);
	e->ppid = BPF_CORE_READ(parent, tgid);
	e->ns_pid = number_in(pid, level, ns);
	e->ns_ppid = number_in(numbers_of(parent), level, ns);
	/* nsproxy has a PID namespace, too: that of future children. */
	e->pid_ns = BPF_CORE_READ(ns, ns.inum);
}

static __always_inline void fill_namespaces(struct event *e,
					    struct task_struct *task)
{
	struct nsproxy *nsproxy = BPF_CORE_READ(task, nsproxy);

	e->mnt_ns = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
	e->net_ns = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
	e->uts_ns = BPF_CORE_READ(nsproxy, uts_ns, ns.inum);
	e->ipc_ns = BPF_CORE_READ(nsproxy, ipc_ns, ns.inum);
	e->cgroup_ns = BPF_CORE_READ(nsproxy, cgroup_ns, ns.inum);
	e->time_ns_id = BPF_CORE_READ(nsproxy, time_ns, ns.inum);
	/* A user namespace belongs to the credentials. */
	e->user_ns = BPF_CORE_READ(task, real_cred, user_ns, ns.inum);
}

static __always_inline void fill(struct event *e, struct task_struct *task)
{
	e->time_ns = bpf_ktime_get_ns();
	fill_numbers(e, task);
	fill_namespaces(e, task);
	e->uid = BPF_CORE_READ(task, real_cred, uid.val);
	e->gid = BPF_CORE_READ(task, real_cred, gid.val);
	e->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	BPF_CORE_READ_STR_INTO(&e->comm, task, comm);
}

/* Below: what came before, and sending. */

/* Look up what the process was, and remember what it is now. */
static __always_inline void remember(struct event *e, struct task_struct *task)
{
	struct past now = { .start_time = BPF_CORE_READ(task, start_time) };
	struct past *before = bpf_map_lookup_elem(&last, &e->pid);

	/* A PID is used again some time after its process has ended. */
	if (before && before->start_time == now.start_time)
		__builtin_memcpy(e->was, before->comm, sizeof(e->was));
	__builtin_memcpy(now.comm, e->comm, sizeof(now.comm));
	bpf_map_update_elem(&last, &e->pid, &now, BPF_ANY);
}

static __always_inline void send(struct event *e, struct task_struct *task)
{
	remember(e, task);
	if (only_uid >= 0 && e->uid != only_uid)
		return;
	/* The buffer is full: count the event, and the tool says so. */
	if (bpf_ringbuf_output(&rb, e, sizeof(*e), 0))
		__sync_fetch_and_add(&lost, 1);
}

/* Below: from a PID to a process that does nothing at the moment, as the kernel
 * itself does in find_task_by_vpid().
 */

/* Find the entry of a number: at each node of the tree, six of its bits say which
 * branch to take. Four nodes are enough: PIDs have 22 bits.
 */
static __always_inline struct pid *find_pid(struct pid_namespace *ns, __u32 nr)
{
	void *entry = BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	struct xa_node *node;
	__u8 shift;
	int i;

	for (i = 0; i < 4; i++) {
		if (((unsigned long)entry & 3) != 2)	/* a leaf */
			break;
		node = entry - 2;
		shift = BPF_CORE_READ(node, shift);
		entry = BPF_CORE_READ(node, slots[nr >> (shift & 31) & 63]);
	}
	return entry;
}

/* A process is in the list of those that have its number. The list links the
 * member pid_links of two structures, not their beginnings.
 */
static __always_inline struct task_struct *task_of(struct pid *pid)
{
	struct hlist_node *link = BPF_CORE_READ(pid, tasks[PIDTYPE_TGID].first);

	if (!link)
		return 0;
	return (void *)link - bpf_core_field_offset(struct task_struct,
						    pid_links[PIDTYPE_TGID]);
}

/* A process of the tool's PID namespace executes a program. If it is the child
 * that the tool started for this: show the process that was asked for.
 */
static __always_inline void show_target(struct event *e,
					struct task_struct *child)
{
	struct pid *pid = numbers_of(child);
	__u32 level = level_of(pid);
	struct pid_namespace *ns = namespace_at(pid, level);
	struct task_struct *task;

	fill_numbers(e, child);
	if (e->pid_ns != tool_pidns || e->ns_ppid != tool_pid)
		return;
	pid = find_pid(ns, only_pid);
	/* A number that is too large for the tree leads to another one. */
	if (number_in(pid, level, ns) != only_pid)
		return;
	task = task_of(pid);
	if (!task)
		return;
	e->kind = EVENT_NOW;
	fill(e, task);
	/* A process that ended, but is still in the tree, has no namespaces. */
	if (!e->mnt_ns)
		return;
	target = e->pid;
	send(e, task);
}

/* A raw tracepoint: the program gets the arguments of the kernel's own call, here
 * trace_sched_process_exec(task, old_pid, binprm).
 */
SEC("raw_tp/sched_process_exec")
int handle_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct event e = { .kind = EVENT_EXEC };

	if (!process_matches())
		return 0;
	if (!only_pid || BPF_CORE_READ(task, tgid) == target) {
		fill(&e, task);
		send(&e, task);
	} else if (!target) {
		show_target(&e, task);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-procinfo, BCC dialect: who a process is, in all its namespaces. */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/stddef.h>
#include "procinfo.h"
#include "lib/processes.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	this process, as the tool counts; 0: all
 *	-Donly_uid=	processes of this user; -1: of all
 *	-Dtool_pid=	the tool's PID, as the tool sees it
 *	-Dtool_pidns=	and the number of its PID namespace
 *	-Dlast_max_entries=	how many processes to remember
 *	-Drb_max_entries=	size of rb in bytes
 */

BPF_ARRAY(target, u64, 1);	/* the PID of only_pid's process, once it was found */
BPF_ARRAY(lost, u64, 1);	/* events that found the buffer full */

/* What each process was when it last executed a program. We do not see processes
 * end, so an ordinary hash would fill up. When this one is full, it drops the
 * entry that was used least recently (LRU).
 */
BPF_TABLE("lru_hash", pid_t, struct past, last, last_max_entries);

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* Below: a process as the kernel knows it. A program cannot follow a kernel
 * pointer directly: each step goes through a helper that survives a bad address.
 * BCC writes these steps behind a pointer that came with the context, but not for
 * entries of arrays, nor for what is reached through one.
 *
 * Some of the structures are not in the kernel's headers: the loader takes
 * them from the kernel's BTF.
 */

/* The numbers of a process: it has one in each PID namespace that it is in. */
static __always_inline struct pid *numbers_of(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct pid *pid = NULL;

	bpf_probe_read_kernel(&pid, sizeof(pid), &signal->pids[PIDTYPE_TGID]);
	return pid;
}

/* How deep its own PID namespace is: the initial one has level 0. */
static __always_inline u32 level_of(struct pid *pid)
{
	u32 level = 0;

	bpf_probe_read_kernel(&level, sizeof(level), &pid->level);
	return level;
}

/* The PID namespace that gave it its number at a level. */
static __always_inline struct pid_namespace *namespace_at(struct pid *pid,
							  u32 level)
{
	struct pid_namespace *ns = NULL;

	bpf_probe_read_kernel(&ns, sizeof(ns), &pid->numbers[level].ns);
	return ns;
}

/* The number of a process in a PID namespace; 0 if it has none there. */
static __always_inline s32 number_in(struct pid *pid, u32 level,
				     struct pid_namespace *ns)
{
	s32 nr = 0;

	if (level_of(pid) >= level && namespace_at(pid, level) == ns)
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      &pid->numbers[level].nr);
	return nr;
}

static __always_inline void fill_numbers(struct event *e,
					 struct task_struct *task)
{
	struct task_struct *parent = task->real_parent;
	struct pid *pid = numbers_of(task);
	u32 level = level_of(pid);
	struct pid_namespace *ns = namespace_at(pid, level);

	/* The kernel's tgid is what user space calls the process ID. */
	e->pid = task->tgid;
	e->ppid = parent->tgid;
	e->ns_pid = number_in(pid, level, ns);
	e->ns_ppid = number_in(numbers_of(parent), level, ns);
	/* nsproxy has a PID namespace, too: that of future children. */
	bpf_probe_read_kernel(&e->pid_ns, sizeof(e->pid_ns), &ns->ns.inum);
}

static __always_inline void fill_namespaces(struct event *e,
					    struct task_struct *task)
{
	struct nsproxy *nsproxy = task->nsproxy;

	e->mnt_ns = nsproxy->mnt_ns->ns.inum;
	e->net_ns = nsproxy->net_ns->ns.inum;
	e->uts_ns = nsproxy->uts_ns->ns.inum;
	e->ipc_ns = nsproxy->ipc_ns->ns.inum;
	e->cgroup_ns = nsproxy->cgroup_ns->ns.inum;
	e->time_ns_id = nsproxy->time_ns->ns.inum;
	/* A user namespace belongs to the credentials. */
	e->user_ns = task->real_cred->user_ns->ns.inum;
}

static __always_inline void fill(struct event *e, struct task_struct *task)
{
	e->time_ns = bpf_ktime_get_ns();
	fill_numbers(e, task);
	fill_namespaces(e, task);
	e->uid = task->real_cred->uid.val;
	e->gid = task->real_cred->gid.val;
	e->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	bpf_probe_read_kernel_str(&e->comm, sizeof(e->comm), task->comm);
}

/* Below: what came before, and sending. */

/* Look up what the process was, and remember what it is now. */
static __always_inline void remember(struct event *e, struct task_struct *task)
{
	struct past now = { .start_time = task->start_time };
	struct past *before = last.lookup(&e->pid);

	/* A PID is used again some time after its process has ended. */
	if (before && before->start_time == now.start_time)
		__builtin_memcpy(e->was, before->comm, sizeof(e->was));
	__builtin_memcpy(now.comm, e->comm, sizeof(now.comm));
	last.update(&e->pid, &now);
}

static __always_inline void send(struct event *e, struct task_struct *task)
{
	int zero = 0;

	remember(e, task);
	if (only_uid >= 0 && e->uid != only_uid)
		return;
	/* The buffer is full: count the event, and the tool says so. */
	if (rb.ringbuf_output(e, sizeof(*e), 0))
		lost.atomic_increment(zero);
}

/* Below: from a PID to a process that does nothing at the moment, as the kernel
 * itself does in find_task_by_vpid().
 */

/* Find the entry of a number: at each node of the tree, six of its bits say which
 * branch to take. Four nodes are enough: PIDs have 22 bits.
 */
static __always_inline struct pid *find_pid(struct pid_namespace *ns, u32 nr)
{
	struct xa_node *node;
	void *entry = NULL;
	u8 shift = 0;
	int i;

	bpf_probe_read_kernel(&entry, sizeof(entry), &ns->idr.idr_rt.xa_head);
	for (i = 0; i < 4; i++) {
		if (((unsigned long)entry & 3) != 2)	/* a leaf */
			break;
		node = entry - 2;
		bpf_probe_read_kernel(&shift, sizeof(shift), &node->shift);
		bpf_probe_read_kernel(&entry, sizeof(entry),
				      &node->slots[nr >> (shift & 31) & 63]);
	}
	return entry;
}

/* A process is in the list of those that have its number. The list links the
 * member pid_links of two structures, not their beginnings.
 */
static __always_inline struct task_struct *task_of(struct pid *pid)
{
	struct hlist_node *link = NULL;

	bpf_probe_read_kernel(&link, sizeof(link),
			      &pid->tasks[PIDTYPE_TGID].first);
	if (!link)
		return 0;
	return (void *)link - offsetof(struct task_struct,
				       pid_links[PIDTYPE_TGID]);
}

/* A process of the tool's PID namespace executes a program. If it is the child
 * that the tool started for this: show the process that was asked for.
 */
static __always_inline void show_target(struct event *e,
					struct task_struct *child)
{
	struct pid *pid = numbers_of(child);
	u32 level = level_of(pid);
	struct pid_namespace *ns = namespace_at(pid, level);
	struct task_struct *task;
	int zero = 0;
	u64 found;

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
	found = e->pid;
	target.update(&zero, &found);
	send(e, task);
}

/* A raw tracepoint: the program gets the arguments of the kernel's own call, here
 * trace_sched_process_exec(task, old_pid, binprm).
 */
RAW_TRACEPOINT_PROBE(sched_process_exec)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct event e = { .kind = EVENT_EXEC };
	int zero = 0;
	u64 *found = target.lookup(&zero);

	if (!found)	/* never true, but the verifier demands it */
		return 0;
	if (!process_matches())
		return 0;
	if (!only_pid || task->tgid == *found) {
		fill(&e, task);
		send(&e, task);
	} else if (!*found) {
		show_target(&e, task);
	}
	return 0;
}

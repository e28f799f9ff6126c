// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-opensnoop, BCC dialect: each file that is opened. */
#include <uapi/linux/openat2.h>
#include <linux/sched.h>
#include "opensnoop.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	calls of this process; 0: of all
 *	-Donly_tid=	calls of this thread; 0: of all
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_failed=	calls that fail
 *	-Down_pid=	the tool's process, as it sees itself
 *	-Dpidns_dev=	its PID namespace: the device and the inode
 *	-Dpidns_ino=	number of /proc/self/ns/pid
 *	-Dcalls_max_entries=	how many calls can be under way at once
 *	-Drb_max_entries=	size of rb in bytes
 */

#define AT_FDCWD -100		/* paths begin in the current directory */

BPF_ARRAY(lost, u64, 1);	/* calls that found no room in calls or in rb */

/* Calls that have begun and not ended: thread -> what is known so far. */
BPF_HASH(calls, u64, struct call, calls_max_entries);

/* Room to put an event together, for it is too long for a program's stack of
 * 512 bytes: on each CPU one for each system call. Linux 7.2 may take the CPU
 * away from a program at a system call's tracepoint. The same one does not run
 * there meanwhile, but that of another call does.
 */
BPF_PERCPU_ARRAY(room, struct event, 3);

/* The way to user space: one buffer that all CPUs share, since Linux 5.8. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

static __always_inline bool wanted(void)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct bpf_pidns_info ns = {};
	s32 pid = thread >> 32, tid = thread;
	u32 uid = bpf_get_current_uid_gid();

	if ((only_pid && pid != only_pid) || (only_tid && tid != only_tid) ||
	    (only_uid >= 0 && uid != only_uid))
		return false;
	/* Not what the tool itself opens. The helper fails for a process of
	 * another PID namespace, and that one is not the tool.
	 */
	return bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino,
					   &ns, sizeof(ns)) ||
	       ns.tgid != own_pid;
}

/* A call begins: keep what is known of it until it ends. The key is the
 * thread, for a thread is in one system call at a time.
 */
static __always_inline int begin(struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();
	int zero = 0;

	if (!wanted())
		return 0;
	if (calls.update(&thread, call))
		lost.atomic_increment(zero);
	return 0;
}

/* openat2() has flags and mode in a structure, in the caller's memory. */
static __always_inline long read_how(struct event *event, u64 address)
{
	struct open_how how = {};
	long err;

	err = bpf_probe_read_user(&how, sizeof(how), (void *)address);
	event->flags = how.flags;
	event->mode = how.mode;
	return err;
}

/* The path is read here and not on entry: by now the kernel has read it, too,
 * so it is in memory. A program cannot wait for a page that is not.
 */
static __always_inline void send(struct call *call, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = task->group_leader;
	u64 thread = bpf_get_current_pid_tgid();
	struct event *event;
	u64 length = sizeof(*event) - sizeof(event->path);
	int zero = 0;
	long size;

	event = room.lookup(&call->room);
	if (!event)	/* never so, but the verifier wants to see it */
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->flags = call->flags;
	event->pid = thread >> 32;
	event->tid = thread;
	event->uid = bpf_get_current_uid_gid();
	event->dirfd = call->dirfd;
	event->ret = ret;
	event->mode = call->mode;
	event->flags_error = call->how ? read_how(event, call->how) : 0;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(&event->process_comm,
				  sizeof(event->process_comm), leader->comm);

	/* The helper returns the number of bytes, with the 0 at the end. */
	size = bpf_probe_read_user_str(event->path, PATH_LEN,
				       (void *)call->path);
	event->path_length = size > 0 ? size - 1 : size;
	if (size > 0)
		/* & changes nothing: it shows the verifier the bounds. */
		length += (size - 1) & (PATH_LEN - 1);
	/* The buffer is full: say so later rather than lose it in silence. */
	if (rb.ringbuf_output(event, length, 0))
		lost.atomic_increment(zero);
}

/* A call ends. This runs for one that is interrupted by a signal, too, even
 * if the thread does not survive it: nothing stays behind in the map.
 */
static __always_inline int end(long ret)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);

	if (!call)	/* not wanted, or begun before we were attached */
		return 0;
	if (ret < 0 || !only_failed)
		send(call, ret);
	calls.delete(&thread);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_open)
{
	struct call call = {
		.dirfd = AT_FDCWD,
		.path = (u64)args->filename,
		.flags = (u32)args->flags,
		.mode = args->mode,
	};

	return begin(&call);
}

/* The same with a directory to start from: what the C library calls. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct call call = {
		.dirfd = args->dfd,
		.path = (u64)args->filename,
		.flags = (u32)args->flags,
		.mode = args->mode,
		.room = 1,
	};

	return begin(&call);
}

/* And with more to say about how, since Linux 5.6. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat2)
{
	struct call call = {
		.dirfd = args->dfd,
		.path = (u64)args->filename,
		.how = (u64)args->how,
		.room = 2,
	};

	return begin(&call);
}

TRACEPOINT_PROBE(syscalls, sys_exit_open)
{
	return end(args->ret);
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat)
{
	return end(args->ret);
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat2)
{
	return end(args->ret);
}

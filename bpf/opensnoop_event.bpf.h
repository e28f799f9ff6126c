/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which calls ebpf-opensnoop shows, and the event for one; libbpf dialect: a
 * part of opensnoop.bpf.c.
 */
#include "lib/filter.bpf.h"
#include "lib/path.bpf.h"
#include "lib/processes.bpf.h"
#include "lib/scratch.bpf.h"
#include "lib/task.bpf.h"

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s32 only_tid;		/* calls of this thread; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile bool only_failed;	/* calls that fail */

const volatile __s32 own_pid;		/* the tool's PID, as the tool sees it */
const volatile __u64 pidns_dev;		/* its PID namespace: the device and the */
const volatile __u64 pidns_ino;		/* inode number of /proc/self/ns/pid */

__u64 lost;	/* calls that found calls or rb full */

/* Leave out what the tool itself opens. */
static __always_inline bool is_wanted(void)
{
	return process_matches() && tid_matches(only_tid) &&
	       uid_matches(only_uid) &&
	       !is_process_of(pidns_dev, pidns_ino, own_pid);
}

/* openat2() has flags and mode in a structure, in the caller's memory. */
static __always_inline long read_how(struct event *event, __u64 address)
{
	struct open_how how = {};
	long err;

	err = bpf_probe_read_user(&how, sizeof(how), (void *)address);
	event->flags = how.flags;
	event->mode = how.mode;
	return err;
}

/* Read the path here and not on entry. By now the kernel has also read it, so it
 * is in memory; a program cannot wait for a page that is not.
 */
static __always_inline void send(struct call *call, long ret)
{
	struct event *event = scratch_event(call->kind);
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 thread = bpf_get_current_pid_tgid();
	long size;

	if (!event)
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->flags = call->flags;
	event->pid = thread >> 32;
	event->tid = thread;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->kind = call->kind;
	event->dirfd = call->dirfd;
	event->ret = ret;
	event->mode = call->mode;
	event->flags_error = call->how ? read_how(event, call->how) : 0;
	read_names(event);

	size = bpf_probe_read_user_str(event->path, PATH_LEN,
				       (void *)call->path);
	/* The buffer is full: count the event, and the tool says so. */
	if (bpf_ringbuf_output(&rb, event, set_path_length(event, size), 0))
		__sync_fetch_and_add(&lost, 1);
}

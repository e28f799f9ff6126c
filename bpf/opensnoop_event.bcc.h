/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which calls ebpf-opensnoop shows, and the event for one; BCC dialect: a
 * part of opensnoop.bcc.c.
 */
#include "lib/filter.bcc.h"
#include "lib/path.bcc.h"
#include "lib/processes.bcc.h"
#include "lib/scratch.bcc.h"
#include "lib/task.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_tid=	calls of this thread; 0: of all
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_failed=	calls that fail
 *	-Down_pid=	the tool's PID, as the tool sees it
 *	-Dpidns_dev=	its PID namespace: the device and the inode
 *	-Dpidns_ino=	number of /proc/self/ns/pid
 *	-Dcalls_max_entries=	how many calls can be in progress at once
 *	-Drb_max_entries=	size of rb in bytes
 */

#define AT_FDCWD -100		/* paths start in the current directory */
#define O_WRONLY 01		/* what creat(2) means */
#define O_CREAT 0100
#define O_TRUNC 01000

BPF_ARRAY(lost, u64, 1);	/* calls that found calls or rb full */

/* Leave out what the tool itself opens. */
static __always_inline bool is_wanted(void)
{
	return process_matches() && tid_matches(only_tid) &&
	       uid_matches(only_uid) &&
	       !is_process_of(pidns_dev, pidns_ino, own_pid);
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

/* Read the path here and not on entry. By now the kernel has also read it, so it
 * is in memory; a program cannot wait for a page that is not.
 */
static __always_inline void send(struct call *call, long ret)
{
	struct event *event = scratch_event(call->kind);
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 thread = bpf_get_current_pid_tgid();
	int zero = 0;
	long size;

	if (!event)
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->flags = call->flags;
	event->pid = thread >> 32;
	event->tid = thread;
	event->ppid = task->real_parent->tgid;
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
	if (rb.ringbuf_output(event, set_path_length(event, size), 0))
		lost.atomic_increment(zero);
}

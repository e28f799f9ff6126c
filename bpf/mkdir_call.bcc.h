/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens when a call begins and when it ends, for all programs of
 * ebpf-mkdir; BCC dialect: a part of mkdir.bcc.c.
 */
#include "lib/filter.bcc.h"
#include "lib/path.bcc.h"
#include "lib/processes.bcc.h"
#include "lib/scratch.bcc.h"
#include "lib/task.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_uid=	calls of this user; -1: of all
 *
 * vfs_mkdir() is not a stable interface: its arguments changed in Linux 5.12,
 * 6.3 and 7.0, its result in 6.15. The Python side asks the kernel's BTF.
 *
 *	-Ddentry_arg=		position of the new entry, from 0
 *	-Dmode_arg=		position of its mode
 *	-Dreturns_dentry=	not an int
 */

/* Calls that found a map full, or whose end we missed. */
BPF_ARRAY(lost, u64, 1);

static __always_inline bool is_wanted(void)
{
	return process_matches() && uid_matches(only_uid);
}

/* A call begins: remember it until it ends. */
static __always_inline void begin(struct call *call, u32 mode)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 thread = bpf_get_current_pid_tgid();
	struct call *before;
	int zero = 0;

	before = calls.lookup(&thread);
	if (before) {
		/* A file system on top of another one, as in a container,
		 * calls vfs_mkdir() inside vfs_mkdir(). That is not a second
		 * directory. The stack grows down, so the inner frame is lower.
		 */
		if (call->frame < before->frame)
			return;
		/* Otherwise we missed the end of the last call: a kretprobe
		 * can follow only a few calls at once.
		 */
		lost.atomic_increment(zero);
	}

	call->time_ns = bpf_ktime_get_ns();
	/* Some file systems apply the umask before vfs_mkdir(), some after.
	 * Applied here, the mode is the same however we see the call.
	 */
	call->mode = mode & ~task->fs->umask & 01777;
	if (calls.update(&thread, call))
		lost.atomic_increment(zero);
}

/* The call ended: fill in the event, without the path. */
static __always_inline struct event *end(struct call *call, s64 ret)
{
	struct event *event = scratch_event(call->slot);

	if (!event)
		return 0;
	event->time_ns = call->time_ns;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->mode = call->mode;
	/* -4095 to -1 are errors, even if the result is a pointer: the last
	 * page of the address space is never used.
	 */
	event->error = ret < 0 && ret >= -4095 ? -ret : 0;
	read_names(event);
	return event;
}

/* Send the event and forget the call. size is what reading the path returned. */
static __always_inline void send(struct event *event, long size)
{
	u64 thread = bpf_get_current_pid_tgid();
	u64 length = set_path_length(event, size);
	int zero = 0;

	if (rb.ringbuf_output(event, length, 0))
		lost.atomic_increment(zero);
	calls.delete(&thread);
}

/* Entry to vfs_mkdir(), which every way to make a directory reaches. */
static __always_inline int enter_vfs_mkdir(u64 frame, struct dentry *dentry,
					   u32 mode)
{
	struct call call = { .frame = frame };
	const unsigned char *name = NULL;

	if (!is_wanted())
		return 0;
	/* A program cannot follow a kernel pointer directly: each step goes
	 * through a helper that survives a bad address. BCC writes these steps
	 * for pointers that it knows are the kernel's; it takes this one for a
	 * number. Read the name now; on return the dentry may be gone.
	 */
	bpf_probe_read_kernel(&name, sizeof(name), &dentry->d_name.name);
	bpf_probe_read_kernel_str(call.name, sizeof(call.name), name);
	begin(&call, mode);
	return 0;
}

/* And its return. */
static __always_inline int leave_vfs_mkdir(u64 frame, u64 result)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);
	struct event *event;

	/* Filtered out, begun before we were attached, or an inner call. */
	if (!call || frame < call->frame)
		return 0;
	event = end(call, returns_dentry ? (s64)result : (s32)result);
	if (event)
		send(event, bpf_probe_read_kernel_str(event->path,
						      sizeof(call->name),
						      call->name));
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens when a call begins and when it ends, for all programs of
 * ebpf-mkdir; libbpf dialect: a part of mkdir.bpf.c.
 */
#include "lib/filter.bpf.h"
#include "lib/path.bpf.h"
#include "lib/processes.bpf.h"
#include "lib/scratch.bpf.h"
#include "lib/task.bpf.h"

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */

/* vfs_mkdir() is not a stable interface: its arguments changed in Linux 5.12,
 * 6.3 and 7.0, its result in 6.15. The Python side asks the kernel's BTF.
 */
const volatile __u32 dentry_arg;	/* position of the new entry, from 0 */
const volatile __u32 mode_arg;		/* position of its mode */
const volatile __u32 arg_count;
const volatile bool returns_dentry;	/* not an int */

__u64 lost;	/* calls that found a map full, or whose end we missed */

static __always_inline bool is_wanted(void)
{
	return process_matches() && uid_matches(only_uid);
}

/* A call begins: remember it until it ends. */
static __always_inline void begin(struct call *call, __u32 mode)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *before;

	before = bpf_map_lookup_elem(&calls, &thread);
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
		__sync_fetch_and_add(&lost, 1);
	}

	call->time_ns = bpf_ktime_get_ns();
	/* Some file systems apply the umask before vfs_mkdir(), some after.
	 * Applied here, the mode is the same however we see the call.
	 */
	call->mode = mode & ~BPF_CORE_READ(task, fs, umask) & 01777;
	if (bpf_map_update_elem(&calls, &thread, call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

/* The call ended: fill in the event, without the path. */
static __always_inline struct event *end(struct call *call, __s64 ret)
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
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 length = set_path_length(event, size);

	if (bpf_ringbuf_output(&rb, event, length, 0))
		__sync_fetch_and_add(&lost, 1);
	bpf_map_delete_elem(&calls, &thread);
}

/* Entry to vfs_mkdir(), which every way to make a directory reaches. */
static __always_inline int enter_vfs_mkdir(__u64 frame, struct dentry *dentry,
					   __u32 mode)
{
	struct call call = { .frame = frame };

	if (!is_wanted())
		return 0;
	/* A program cannot follow a kernel pointer directly: each step goes
	 * through a helper that survives a bad address. BPF_CORE_READ() writes
	 * these steps. Read the name now; on return the dentry may be gone.
	 */
	bpf_probe_read_kernel_str(call.name, sizeof(call.name),
				  BPF_CORE_READ(dentry, d_name.name));
	begin(&call, mode);
	return 0;
}

/* And its return. */
static __always_inline int leave_vfs_mkdir(__u64 frame, __u64 result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct event *event;

	/* Filtered out, begun before we were attached, or an inner call. */
	if (!call || frame < call->frame)
		return 0;
	event = end(call, returns_dentry ? (__s64)result : (__s32)result);
	if (event)
		send(event, bpf_probe_read_kernel_str(event->path,
						      sizeof(call->name),
						      call->name));
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mkdir, libbpf dialect: each directory that is made. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "mkdir.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s32 only_pid;		/* calls of this process; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */

/* vfs_mkdir() is no interface: its arguments changed in Linux 5.12, 6.3 and
 * 7.0, its result in 6.15. The Python side asks the kernel's BTF.
 */
const volatile __u32 dentry_arg;	/* which one is the new entry, from 0 */
const volatile __u32 mode_arg;		/* and which one its mode */
const volatile __u32 arg_count;
const volatile bool returns_dentry;	/* not an int */

__u64 lost;	/* calls that found no room, or whose end was not seen */

/* Calls that have begun and not ended: thread -> what is known so far. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Room to put an event together, for it is too long for a program's stack of
 * 512 bytes: on each CPU one for each system call. Linux 7.2 may take the CPU
 * away from a program at a system call's tracepoint. The same one does not run
 * there meanwhile, but that of another call does.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct event);
} room SEC(".maps");

/* The way to user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} rb SEC(".maps");

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline bool wanted(void)
{
	__s32 pid = bpf_get_current_pid_tgid() >> 32;
	__u32 uid = bpf_get_current_uid_gid();

	return (!only_pid || pid == only_pid) &&
	       (only_uid < 0 || uid == only_uid);
}

/* A call begins: keep what is known of it until it ends. */
static __always_inline void begin(struct call *call, __u32 mode)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *before;

	before = bpf_map_lookup_elem(&calls, &thread);
	if (before) {
		/* A file system that lies on another one, as in a container,
		 * calls vfs_mkdir() from inside vfs_mkdir(). That is no second
		 * directory. The stack grows down, so the inner frame is lower.
		 */
		if (call->frame < before->frame)
			return;
		/* Otherwise the call before has ended unseen: a kretprobe can
		 * follow only so many calls at once.
		 */
		__sync_fetch_and_add(&lost, 1);
	}

	call->time_ns = bpf_ktime_get_ns();
	/* Some file systems apply the umask before vfs_mkdir(), some behind
	 * it. Applied here, the mode is the same in all ways.
	 */
	call->mode = mode & ~BPF_CORE_READ(task, fs, umask) & 01777;
	if (bpf_map_update_elem(&calls, &thread, call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

/* It has ended: put the event together, but for the path. */
static __always_inline struct event *end(struct call *call, __s64 ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event *event;

	event = bpf_map_lookup_elem(&room, &call->room);
	if (!event)	/* never so, but the verifier wants to see it */
		return 0;
	event->time_ns = call->time_ns;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->mode = call->mode;
	/* Numbers from -4095 to -1 are errors, also where a pointer returns:
	 * no object lies in the last page of the address space.
	 */
	event->error = ret < 0 && ret >= -4095 ? -ret : 0;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->process_comm, task, group_leader, comm);
	return event;
}

/* Send the event; size is what reading the path has returned. */
static __always_inline void send(struct event *event, long size)
{
	__u64 length = sizeof(*event) - sizeof(event->path);
	__u64 thread = bpf_get_current_pid_tgid();

	event->path_length = size > 0 ? size - 1 : size;
	if (size > 0)
		/* & changes nothing: it shows the verifier the bounds. */
		length += (size - 1) & (PATH_LEN - 1);
	if (bpf_ringbuf_output(&rb, event, length, 0))
		__sync_fetch_and_add(&lost, 1);
	bpf_map_delete_elem(&calls, &thread);
}

/* Below: vfs_mkdir(), where all ways to make a directory meet. */

static __always_inline int enter_vfs_mkdir(__u64 frame, struct dentry *dentry,
					   __u32 mode)
{
	struct call call = { .frame = frame };

	if (!wanted())
		return 0;
	/* A kernel pointer cannot simply be followed: each step goes through
	 * a helper that survives a bad address. BPF_CORE_READ() writes them.
	 * The name is read on entry; on return the dentry may be gone.
	 */
	bpf_probe_read_kernel_str(call.name, sizeof(call.name),
				  BPF_CORE_READ(dentry, d_name.name));
	begin(&call, mode);
	return 0;
}

static __always_inline int leave_vfs_mkdir(__u64 frame, __u64 result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct event *event;

	/* Not wanted, begun before we were attached, or an inner call. */
	if (!call || frame < call->frame)
		return 0;
	event = end(call, returns_dentry ? (__s64)result : (__s32)result);
	if (event)
		send(event, bpf_probe_read_kernel_str(event->path,
						      sizeof(call->name),
						      call->name));
	return 0;
}

/* A kprobe: a breakpoint on an instruction, here the function's first. The
 * context is the CPU's registers, and the calling convention says which one
 * holds which argument.
 */
static __always_inline __u64 register_arg(struct pt_regs *ctx, __u32 n)
{
	const __u64 args[] = {
		PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx),
		PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),
	};

	return n < sizeof(args) / sizeof(args[0]) ? args[n] : 0;
}

SEC("kprobe/vfs_mkdir")
int kprobe__vfs_mkdir(struct pt_regs *ctx)
{
	return enter_vfs_mkdir(PT_REGS_SP(ctx),
			       (void *)register_arg(ctx, dentry_arg),
			       register_arg(ctx, mode_arg));
}

/* A kretprobe: runs when the function returns. */
SEC("kretprobe/vfs_mkdir")
int kretprobe__vfs_mkdir(struct pt_regs *ctx)
{
	return leave_vfs_mkdir(PT_REGS_SP(ctx), PT_REGS_RC(ctx));
}

/* fentry and fexit: the same by a direct call instead of a breakpoint. The
 * context is an array of the arguments, and behind them, for fexit, the
 * result. The verifier takes ctx[2], but no index that it learns late, so the
 * number goes through a helper.
 */
static __always_inline __u64 array_arg(__u64 *ctx, __u32 n)
{
	__u64 arg = 0;

	bpf_probe_read_kernel(&arg, sizeof(arg), &ctx[n]);
	return arg;
}

SEC("fentry/vfs_mkdir")
int fentry__vfs_mkdir(__u64 *ctx)
{
	return enter_vfs_mkdir((__u64)ctx, (void *)array_arg(ctx, dentry_arg),
			       array_arg(ctx, mode_arg));
}

SEC("fexit/vfs_mkdir")
int fexit__vfs_mkdir(__u64 *ctx)
{
	return leave_vfs_mkdir((__u64)ctx, array_arg(ctx, arg_count));
}

/* Below: the system calls mkdir() and mkdirat(). */

static __always_inline int enter_syscall(unsigned long path, __u32 mode,
					 __u32 own_room)
{
	struct call call = { .path = path, .room = own_room };

	if (wanted())
		begin(&call, mode);
	return 0;
}

/* The path is read here and not on entry: by now the kernel has read it, too,
 * so it is in memory. A program cannot wait for a page that is not. What comes
 * before the last name is left to the Python side.
 */
static __always_inline int leave_syscall(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct event *event;

	if (!call)
		return 0;
	event = end(call, ret);
	if (event)
		send(event, bpf_probe_read_user_str(event->path, PATH_LEN,
						    (void *)call->path));
	return 0;
}

SEC("tp/syscalls/sys_enter_mkdir")
int enter_mkdir(struct trace_event_raw_sys_enter *ctx)
{
	return enter_syscall(ctx->args[0], ctx->args[1], 0);
}

SEC("tp/syscalls/sys_exit_mkdir")
int exit_mkdir(struct trace_event_raw_sys_exit *ctx)
{
	return leave_syscall(ctx->ret);
}

/* The same with a directory to start from, which is the first argument. */
SEC("tp/syscalls/sys_enter_mkdirat")
int enter_mkdirat(struct trace_event_raw_sys_enter *ctx)
{
	return enter_syscall(ctx->args[1], ctx->args[2], 1);
}

SEC("tp/syscalls/sys_exit_mkdirat")
int exit_mkdirat(struct trace_event_raw_sys_exit *ctx)
{
	return leave_syscall(ctx->ret);
}

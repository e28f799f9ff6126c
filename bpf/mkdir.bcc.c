// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mkdir, BCC dialect: each directory that is made. */
#include <uapi/linux/ptrace.h>
#include <linux/dcache.h>
#include <linux/fs_struct.h>
#include <linux/sched.h>
#include "mkdir.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	calls of this process; 0: of all
 *	-Donly_uid=	calls of this user; -1: of all
 *
 * vfs_mkdir() is no interface: its arguments changed in Linux 5.12, 6.3 and
 * 7.0, its result in 6.15. The Python side asks the kernel's BTF.
 *
 *	-Ddentry_arg=		which one is the new entry, from 0
 *	-Dmode_arg=		and which one its mode
 *	-Dreturns_dentry=	not an int
 *	-Drb_max_entries=	size of rb in bytes
 */

BPF_ARRAY(lost, u64, 1);	/* calls that found no room, or whose end was not seen */

/* Calls that have begun and not ended: thread -> what is known so far. */
BPF_HASH(calls, u64, struct call, 10240);

/* Room to put an event together, for it is too long for a program's stack of
 * 512 bytes: on each CPU one for each system call. Linux 7.2 may take the CPU
 * away from a program at a system call's tracepoint. The same one does not run
 * there meanwhile, but that of another call does.
 */
BPF_PERCPU_ARRAY(room, struct event, 2);

/* The way to user space: one buffer that all CPUs share, since Linux 5.8. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

static __always_inline bool wanted(void)
{
	s32 pid = bpf_get_current_pid_tgid() >> 32;
	u32 uid = bpf_get_current_uid_gid();

	return (!only_pid || pid == only_pid) &&
	       (only_uid < 0 || uid == only_uid);
}

/* A call begins: keep what is known of it until it ends. */
static __always_inline void begin(struct call *call, u32 mode)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 thread = bpf_get_current_pid_tgid();
	struct call *before;
	int zero = 0;

	before = calls.lookup(&thread);
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
		lost.atomic_increment(zero);
	}

	call->time_ns = bpf_ktime_get_ns();
	/* Some file systems apply the umask before vfs_mkdir(), some behind
	 * it. Applied here, the mode is the same in all ways.
	 */
	call->mode = mode & ~task->fs->umask & 01777;
	if (calls.update(&thread, call))
		lost.atomic_increment(zero);
}

/* It has ended: put the event together, but for the path. */
static __always_inline struct event *end(struct call *call, s64 ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = task->group_leader;
	struct event *event;

	event = room.lookup(&call->room);
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
	bpf_probe_read_kernel_str(&event->process_comm,
				  sizeof(event->process_comm), leader->comm);
	return event;
}

/* Send the event; size is what reading the path has returned. */
static __always_inline void send(struct event *event, long size)
{
	u64 length = sizeof(*event) - sizeof(event->path);
	u64 thread = bpf_get_current_pid_tgid();
	int zero = 0;

	event->path_length = size > 0 ? size - 1 : size;
	if (size > 0)
		/* & changes nothing: it shows the verifier the bounds. */
		length += (size - 1) & (PATH_LEN - 1);
	if (rb.ringbuf_output(event, length, 0))
		lost.atomic_increment(zero);
	calls.delete(&thread);
}

/* Below: vfs_mkdir(), where all ways to make a directory meet. */

/* A kprobe: a breakpoint on an instruction, here the function's first. The
 * context is the CPU's registers, and the calling convention says which one
 * holds which argument. BCC could name the arguments for us, had they fixed places:
 *
 *	int kprobe__vfs_mkdir(struct pt_regs *ctx, struct inode *dir, ...)
 */
static __always_inline u64 register_arg(struct pt_regs *ctx, u32 n)
{
	const u64 args[] = {
		PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx),
		PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),
	};

	return n < sizeof(args) / sizeof(args[0]) ? args[n] : 0;
}

int kprobe__vfs_mkdir(struct pt_regs *ctx)
{
	struct call call = { .frame = PT_REGS_SP(ctx) };
	const unsigned char *name = NULL;
	struct dentry *dentry;

	if (!wanted())
		return 0;
	/* A kernel pointer cannot simply be followed: each step goes through
	 * a helper that survives a bad address. BCC writes them for pointers
	 * that it knows are the kernel's; this one it takes for a number.
	 * The name is read on entry; on return the dentry may be gone.
	 */
	dentry = (void *)register_arg(ctx, dentry_arg);
	bpf_probe_read_kernel(&name, sizeof(name), &dentry->d_name.name);
	bpf_probe_read_kernel_str(call.name, sizeof(call.name), name);
	begin(&call, register_arg(ctx, mode_arg));
	return 0;
}

/* A kretprobe: runs when the function returns. */
int kretprobe__vfs_mkdir(struct pt_regs *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);
	u64 ret = PT_REGS_RC(ctx);
	struct event *event;

	/* Not wanted, begun before we were attached, or an inner call. */
	if (!call || PT_REGS_SP(ctx) < call->frame)
		return 0;
	event = end(call, returns_dentry ? (s64)ret : (s32)ret);
	if (event)
		send(event, bpf_probe_read_kernel_str(event->path,
						      sizeof(call->name),
						      call->name));
	return 0;
}

/* The libbpf dialect has fentry and fexit here. BCC's KFUNC_PROBE() names the
 * arguments by the types of the kernel's own headers, and they have moved.
 */

/* Below: the system calls mkdir() and mkdirat(). */

static __always_inline int enter_syscall(const char *path, u32 mode,
					 u32 own_room)
{
	struct call call = { .path = (u64)path, .room = own_room };

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
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);
	struct event *event;

	if (!call)
		return 0;
	event = end(call, ret);
	if (event)
		send(event, bpf_probe_read_user_str(event->path, PATH_LEN,
						    (void *)call->path));
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_mkdir)
{
	return enter_syscall(args->pathname, args->mode, 0);
}

TRACEPOINT_PROBE(syscalls, sys_exit_mkdir)
{
	return leave_syscall(args->ret);
}

/* The same with a directory to start from. */
TRACEPOINT_PROBE(syscalls, sys_enter_mkdirat)
{
	return enter_syscall(args->pathname, args->mode, 1);
}

TRACEPOINT_PROBE(syscalls, sys_exit_mkdirat)
{
	return leave_syscall(args->ret);
}

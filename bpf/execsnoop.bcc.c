// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execsnoop, BCC dialect: each program that is executed. */
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>
#include <linux/mm_types.h>
#include <linux/nsproxy.h>
#include <linux/ns_common.h>
#include "execsnoop.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_ppid=	by children of this process; 0: by all
 *	-Dby_cgroup=	only from the cgroups in cgroupset
 *	-Dby_mntns=	from the mount namespaces in mntnsset
 *	-Dwith_failed=	calls that failed, too
 *	-Dmax_args=	of a call that failed, read so many
 */

/* Keeps the compiler from testing one register and using a copy of it: the
 * verifier would not know what the copy can hold.
 */
#define barrier_var(var) asm volatile("" : "+r"(var))

#define AT_FDCWD -100		/* paths begin in the current directory */

BPF_ARRAY(lost, u64, 1);	/* calls that found no room, or whose end was not seen */

/* Calls that have begun and not ended: thread -> what is known so far. */
BPF_HASH(calls, u64, struct call, 10240);

/* Room to put an event together, for it is too long for a program's stack of
 * 512 bytes: on each CPU one for each system call. Linux 7.2 may take the CPU
 * away from a program at a system call's tracepoint. The same one does not run
 * there meanwhile, but that of another call does.
 */
BPF_PERCPU_ARRAY(room, struct event, 2);

/* The way to user space: a buffer for each CPU. */
BPF_PERF_OUTPUT(pb);

/* Two sets that somebody else has made and pinned to a path in bpffs. BCC opens
 * that path when it compiles, and wants it in the source. What a user types is
 * no part of a program, though: the Python side opens the path, too, and passes
 * the number of the file descriptor.
 *
 *	-Dcgroupset_fd=, -Dmntnsset_fd=
 */
#define TEXT(number) #number
#define PATH_OF(fd) "/proc/self/fd/" TEXT(fd)

#if by_cgroup
/* cgroup id -> anything */
BPF_TABLE_PINNED("hash", u64, u64, cgroupset, 1024, PATH_OF(cgroupset_fd));
#endif
#if by_mntns
/* inode number of /proc/PID/ns/mnt -> anything */
BPF_TABLE_PINNED("hash", u64, u32, mntnsset, 1024, PATH_OF(mntnsset_fd));
#ifndef STRUCTURES_FROM_BTF
/* It stands in no header that is for others than the file systems. */
struct mnt_namespace {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	atomic_t count;
#endif
	struct ns_common ns;
};
#endif
#endif

static __always_inline bool in_sets(struct task_struct *task)
{
	u64 id;

#if by_cgroup
	id = bpf_get_current_cgroup_id();
	if (!cgroupset.lookup(&id))
		return false;
#endif
#if by_mntns
	id = task->nsproxy->mnt_ns->ns.inum;
	if (!mntnsset.lookup(&id))
		return false;
#endif
	return true;
}

static __always_inline bool wanted(struct task_struct *task)
{
	u32 uid = bpf_get_current_uid_gid();

	if (only_uid >= 0 && uid != only_uid)
		return false;
	if (only_ppid && task->real_parent->tgid != only_ppid)
		return false;
	return in_sets(task);
}

/* A call begins. On success it returns into another program, and the caller's
 * memory is gone; if it fails, the arguments are where the caller has put them.
 * So they are not read yet, but for the first one's beginning.
 */
static __always_inline int enter_exec(int dirfd, const char *filename,
				      const char *const *argv,
				      u32 own_room)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct call call = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.dirfd = dirfd,
		.room = own_room,
	};
	/* The key is the thread's address and not its ID: if it is not its
	 * process's first one, it gets that one's ID in the call.
	 */
	u64 thread = (u64)task;
	const char *argv0 = 0;
	int zero = 0;

	/* A call before has ended unseen, maybe that of another thread which
	 * had this address.
	 */
	if (!calls.delete(&thread))
		lost.atomic_increment(zero);
	if (!wanted(task))
		return 0;
	call.mm = (u64)task->mm;
	call.filename = (u64)filename;
	call.argv = (u64)argv;
	bpf_probe_read_user(&argv0, sizeof(argv0), argv);
	bpf_probe_read_user_str(call.argv0, sizeof(call.argv0), argv0);
	if (calls.update(&thread, &call))
		lost.atomic_increment(zero);
	return 0;
}

/* Returns the bytes of a string, with the 0 at its end, or a negative errno. */
static __always_inline long read_string(char *to, int room, const void *from)
{
	long size = bpf_probe_read_user_str(to, room, from);

	/* Of an empty one, older kernels did not count the 0. */
	return size ? size : 1;
}

/* The file name comes first. Returns its bytes. */
static __always_inline u64 read_filename(struct event *event, u64 filename)
{
	u64 size = read_string(event->text, PATH_LEN, (void *)filename);

	/* An error is a huge number here. One comparison is what the verifier
	 * follows best; the compiler shall not make another one of it.
	 */
	barrier_var(size);
	return size > PATH_LEN ? 0 : size;
}

/* The call has succeeded: the kernel has copied everything to the top of the
 * new program's stack, where it is in memory, and nobody has changed it yet.
 * Lowest are the arguments, in one piece. Returns their bytes.
 */
static __always_inline u64 read_new(struct event *event, u64 start,
				     struct mm_struct *mm)
{
	u64 args = mm->arg_start;
	u64 size = mm->arg_end - args;

	event->incomplete = size > ARGS_LEN;
	barrier_var(size);
	if (size > ARGS_LEN)
		size = ARGS_LEN;
	if (bpf_probe_read_user(event->text + start, size, (void *)args)) {
		event->incomplete = true;
		return 0;
	}
	return size;
}

/* It has failed: argv is still where the caller has it, an array of addresses.
 * Any of them may be wrong, which may be why the call has failed. Returns the
 * bytes of what could be read.
 */
static __always_inline u64 read_old(struct event *event, u64 start,
				     const char *const *argv)
{
	u64 size = 0;
	const char *arg;
	long more;
	u32 i;

	event->incomplete = false;
	if (!argv)	/* Linux takes it for an empty list */
		return 0;
	/* The first one is the program's name, and with one more than is
	 * shown it is known whether there are more.
	 */
	for (i = 0; i < max_args + 2; i++) {
		if (bpf_probe_read_user(&arg, sizeof(arg), &argv[i]))
			break;
		if (!arg)
			return size;
		barrier_var(size);
		if (size > ARGS_LEN)
			break;
		more = read_string(event->text + start + size, ARGS_LEN + 1,
				   arg);
		if (more < 0)
			break;
		size += more;
	}
	event->incomplete = true;
	return size;
}

/* Send the event with so much of the file name and of the arguments. */
static __always_inline void send(void *ctx, struct event *event, u64 start,
				 u64 size)
{
	u64 length = sizeof(*event) - sizeof(event->text) + start;
	int zero = 0;

	barrier_var(size);
	if (size > ARGS_LEN) {
		event->incomplete = true;
		size = ARGS_LEN;
	}
	event->filename_bytes = start;
	event->args_bytes = size;
	/* Behind the end of the text the event ends. */
	if (pb.perf_submit(ctx, event, length + size))
		lost.atomic_increment(zero);
}

static __always_inline void report(void *ctx, struct call *call, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = task->group_leader;
	struct mm_struct *mm = task->mm;
	struct event *event;
	u64 start, size;

	event = room.lookup(&call->room);
	if (!event)	/* never so, but the verifier wants to see it */
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = task->real_parent->tgid;
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->dirfd = call->dirfd;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(&event->process_comm,
				  sizeof(event->process_comm), leader->comm);
	__builtin_memcpy(event->argv0, call->argv0, sizeof(event->argv0));
	if ((u64)mm != call->mm) {
		/* Above the arguments is the environment, then the file name. */
		start = read_filename(event, mm->env_end);
		size = read_new(event, start, mm);
	} else if (ret) {
		start = read_filename(event, call->filename);
		size = read_old(event, start, (void *)call->argv);
	} else {
		/* It only asked if it could (AT_EXECVE_CHECK, since 6.14). */
		return;
	}
	send(ctx, event, start, size);
}

/* A call ends: in the new program, or where it came from with an error. */
static __always_inline int leave_exec(void *ctx, int ret)
{
	u64 thread = bpf_get_current_task();
	struct call *call = calls.lookup(&thread);
	s32 pid = bpf_get_current_pid_tgid() >> 32;
	int zero = 0;

	/* Not wanted, or begun before we were attached. */
	if (!call)
		return 0;
	if (call->pid != pid)	/* of another thread that had this address */
		lost.atomic_increment(zero);
	else if (!ret || with_failed)
		report(ctx, call, ret);
	calls.delete(&thread);
	return 0;
}

/* Below: kprobes. A system call is a function of the kernel, too, whose name
 * depends on the architecture: __x64_sys_execve. It has one argument, the
 * registers as user space has left them, and those hold the call's own
 * arguments. get_syscall_fnname() of BCC's Python finds the name, and in a
 * function that is called syscall__*, BCC finds the arguments.
 */
int syscall__execve(struct pt_regs *ctx, const char *filename,
		    const char *const *argv)
{
	return enter_exec(AT_FDCWD, filename, argv, 0);
}

int kretsyscall__execve(struct pt_regs *ctx)
{
	return leave_exec(ctx, PT_REGS_RC(ctx));
}

/* The same with a directory to start from: what fexecve(3) calls. */
int syscall__execveat(struct pt_regs *ctx, int fd, const char *filename,
		      const char *const *argv)
{
	return enter_exec(fd, filename, argv, 1);
}

int kretsyscall__execveat(struct pt_regs *ctx)
{
	return leave_exec(ctx, PT_REGS_RC(ctx));
}

/* Below: tracepoints, which hand over the arguments by name. */

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	return enter_exec(AT_FDCWD, args->filename, args->argv, 0);
}

TRACEPOINT_PROBE(syscalls, sys_exit_execve)
{
	return leave_exec(args, args->ret);
}

TRACEPOINT_PROBE(syscalls, sys_enter_execveat)
{
	return enter_exec(args->fd, args->filename, args->argv, 1);
}

TRACEPOINT_PROBE(syscalls, sys_exit_execveat)
{
	return leave_exec(args, args->ret);
}

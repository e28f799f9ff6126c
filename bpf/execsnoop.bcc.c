// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execsnoop, BCC dialect: each program that is executed. */
#include <uapi/linux/ptrace.h>
#include <linux/binfmts.h>
#include <linux/sched.h>
#include <linux/mm_types.h>
#include <linux/nsproxy.h>
#include <linux/ns_common.h>
#include "execsnoop.h"

#define AT_FDCWD -100		/* paths start in the current directory */
#define KEEPS_ARGV0 8		/* in linux_binprm.interp_flags, since Linux 5.12 */

/* Calls in progress: thread -> what we know so far. */
BPF_HASH(calls, u64, struct call, 10240);

/* Records for user space: a buffer for each CPU. */
BPF_PERF_OUTPUT(pb);

#include "execsnoop_filter.bcc.h"	/* is_wanted() */
#include "execsnoop_event.bcc.h"	/* report() */

/* A call begins. If it succeeds, it returns into another program, and the
 * caller's memory is gone; if it fails, the arguments are still where the caller
 * put them. So remember where they are.
 */
static __always_inline int enter_exec(u32 slot, int dirfd,
				      const char *filename,
				      const char *const *argv)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct call call = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.dirfd = dirfd,
		.slot = slot,
		.interpreted = UNKNOWN,
	};
	/* The key is the address of the thread and not its ID: a thread that is
	 * not the leader of its process gets the leader's ID during the call.
	 */
	u64 thread = (u64)task;
	int zero = 0;

	/* We missed the end of an earlier call, maybe by another thread that
	 * had this address.
	 */
	if (!calls.delete(&thread))
		lost.atomic_increment(zero);
	if (!is_wanted(task))
		return 0;
	call.mm = (u64)task->mm;
	call.filename = (u64)filename;
	call.argv = (u64)argv;
	if (calls.update(&thread, &call))
		lost.atomic_increment(zero);
	return 0;
}

/* The call succeeds: the new program begins. Does it run the file itself, or does
 * another one, because of "#!" or binfmt_misc? The kernel has the name of each.
 */
RAW_TRACEPOINT_PROBE(sched_process_exec)
{
	struct linux_binprm *bprm = (void *)ctx->args[2];
	u64 thread = bpf_get_current_task();
	struct call *call = calls.lookup(&thread);

	if (!call)
		return 0;
	call->interpreted = bprm->interp != bprm->filename;
	call->keeps_argv0 = bprm->interp_flags & KEEPS_ARGV0;
	return 0;
}

/* A call ends: in the new program, which has memory of its own, or in the caller with
 * an error. Or the caller only asked whether it could execute the file
 * (AT_EXECVE_CHECK, since 6.14): 0, and the memory is the same.
 */
static __always_inline int leave_exec(void *ctx, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 thread = (u64)task;
	struct call *call = calls.lookup(&thread);
	s32 pid = bpf_get_current_pid_tgid() >> 32;
	int zero = 0;

	/* Filtered out, or it began before we were attached. */
	if (!call)
		return 0;
	if (call->pid != pid)	/* by another thread that had this address */
		lost.atomic_increment(zero);
	else if (ret ? with_failed : (u64)task->mm != call->mm)
		report(ctx, call, ret);
	calls.delete(&thread);
	return 0;
}

/* --via kprobe: a system call is a function of the kernel, too, whose name
 * depends on the architecture: __x64_sys_execve. It has one argument, the
 * registers as user space left them, and those hold the arguments of the
 * call. get_syscall_fnname() of BCC's Python finds the name, and in a function
 * that is called syscall__*, BCC finds the arguments.
 */
int syscall__execve(struct pt_regs *ctx, const char *filename,
		    const char *const *argv)
{
	return enter_exec(0, AT_FDCWD, filename, argv);
}

int kretsyscall__execve(struct pt_regs *ctx)
{
	return leave_exec(ctx, PT_REGS_RC(ctx));
}

/* The same with a directory to start from: what fexecve(3) calls. */
int syscall__execveat(struct pt_regs *ctx, int fd, const char *filename,
		      const char *const *argv)
{
	return enter_exec(1, fd, filename, argv);
}

int kretsyscall__execveat(struct pt_regs *ctx)
{
	return leave_exec(ctx, PT_REGS_RC(ctx));
}

/* --via tracepoint: args has the arguments by name. */
TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	return enter_exec(0, AT_FDCWD, args->filename, args->argv);
}

TRACEPOINT_PROBE(syscalls, sys_exit_execve)
{
	return leave_exec(args, args->ret);
}

TRACEPOINT_PROBE(syscalls, sys_enter_execveat)
{
	return enter_exec(1, args->fd, args->filename, args->argv);
}

TRACEPOINT_PROBE(syscalls, sys_exit_execveat)
{
	return leave_exec(args, args->ret);
}

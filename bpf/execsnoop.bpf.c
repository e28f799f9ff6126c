// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execsnoop, libbpf dialect: each program that is executed. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "execsnoop.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Calls in progress: thread -> what we know so far. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Records for user space: a buffer for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} pb SEC(".maps");

#include "execsnoop_filter.bpf.h"	/* is_wanted() */
#include "execsnoop_event.bpf.h"	/* report() */

/* A call begins. If it succeeds, it returns into another program, and the
 * caller's memory is gone; if it fails, the arguments are still where the caller
 * put them. So remember where they are.
 */
static __always_inline int enter_exec(__u32 slot, int dirfd,
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
	__u64 thread = (__u64)task;

	/* We missed the end of an earlier call, maybe by another thread that
	 * had this address.
	 */
	if (!bpf_map_delete_elem(&calls, &thread))
		__sync_fetch_and_add(&lost, 1);
	if (!is_wanted(task))
		return 0;
	call.mm = (__u64)BPF_CORE_READ(task, mm);
	call.filename = (__u64)filename;
	call.argv = (__u64)argv;
	if (bpf_map_update_elem(&calls, &thread, &call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* The call succeeds: the new program begins. Does it run the file itself, or does
 * another one, because of "#!" or binfmt_misc? The kernel has the name of each.
 */
SEC("raw_tp/sched_process_exec")
int begin_program(struct bpf_raw_tracepoint_args *ctx)
{
	struct linux_binprm *bprm = (void *)ctx->args[2];
	__u64 thread = bpf_get_current_task();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);

	if (!call)
		return 0;
	call->interpreted = BPF_CORE_READ(bprm, interp) != BPF_CORE_READ(bprm, filename);
	call->keeps_argv0 = BPF_CORE_READ(bprm, interp_flags) & KEEPS_ARGV0;
	return 0;
}

/* A call ends: in the new program, which has memory of its own, or in the caller with
 * an error. Or the caller only asked whether it could execute the file
 * (AT_EXECVE_CHECK, since 6.14): 0, and the memory is the same.
 */
static __always_inline int leave_exec(void *ctx, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 thread = (__u64)task;
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	__s32 pid = bpf_get_current_pid_tgid() >> 32;

	/* Filtered out, or it began before we were attached. */
	if (!call)
		return 0;
	if (call->pid != pid)	/* by another thread that had this address */
		__sync_fetch_and_add(&lost, 1);
	else if (ret ? with_failed : (__u64)BPF_CORE_READ(task, mm) != call->mm)
		report(ctx, call, ret);
	bpf_map_delete_elem(&calls, &thread);
	return 0;
}

/* --via kprobe: a system call is a function of the kernel, too, whose name
 * depends on the architecture: __x64_sys_execve. It has one argument, the
 * registers as user space left them, and those hold the arguments of the
 * call. SEC("ksyscall/") finds the name, BPF_KSYSCALL() the arguments.
 */
SEC("ksyscall/execve")
int BPF_KSYSCALL(ksyscall_execve, const char *filename,
		 const char *const *argv)
{
	return enter_exec(0, AT_FDCWD, filename, argv);
}

SEC("kretsyscall/execve")
int BPF_KRETPROBE(kretsyscall_execve, int ret)
{
	return leave_exec(ctx, ret);
}

/* The same with a directory to start from: what fexecve(3) calls. */
SEC("ksyscall/execveat")
int BPF_KSYSCALL(ksyscall_execveat, int fd, const char *filename,
		 const char *const *argv)
{
	return enter_exec(1, fd, filename, argv);
}

SEC("kretsyscall/execveat")
int BPF_KRETPROBE(kretsyscall_execveat, int ret)
{
	return leave_exec(ctx, ret);
}

/* --via tracepoint: the context has the arguments as an array. */
SEC("tp/syscalls/sys_enter_execve")
int enter_execve(struct trace_event_raw_sys_enter *ctx)
{
	return enter_exec(0, AT_FDCWD, (void *)ctx->args[0],
			  (void *)ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_execve")
int exit_execve(struct trace_event_raw_sys_exit *ctx)
{
	return leave_exec(ctx, ctx->ret);
}

SEC("tp/syscalls/sys_enter_execveat")
int enter_execveat(struct trace_event_raw_sys_enter *ctx)
{
	return enter_exec(1, ctx->args[0], (void *)ctx->args[1],
			  (void *)ctx->args[2]);
}

SEC("tp/syscalls/sys_exit_execveat")
int exit_execveat(struct trace_event_raw_sys_exit *ctx)
{
	return leave_exec(ctx, ctx->ret);
}

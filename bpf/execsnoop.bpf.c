// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execsnoop, libbpf dialect: each program that is executed. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "execsnoop.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile __s32 only_ppid;		/* by children of this process; 0: by all */
const volatile bool by_cgroup;		/* only from the cgroups in cgroupset */
const volatile bool by_mntns;		/* from the mount namespaces in mntnsset */
const volatile bool with_failed;	/* calls that failed, too */
const volatile __u32 max_args = 20;	/* of a call that failed, read so many */

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

/* The way to user space: a buffer for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} pb SEC(".maps");

/* Two sets that somebody else has made and pinned to a path in bpffs. The
 * Python side opens that path, and libbpf uses what is there instead of
 * creating these.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);	/* cgroup id */
	__type(value, __u64);
} cgroupset SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);	/* inode number of /proc/PID/ns/mnt */
	__type(value, __u32);
} mntnsset SEC(".maps");

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline bool in_sets(struct task_struct *task)
{
	__u64 id;

	if (by_cgroup) {
		id = bpf_get_current_cgroup_id();
		if (!bpf_map_lookup_elem(&cgroupset, &id))
			return false;
	}
	if (by_mntns) {
		id = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
		if (!bpf_map_lookup_elem(&mntnsset, &id))
			return false;
	}
	return true;
}

static __always_inline bool wanted(struct task_struct *task)
{
	__u32 uid = bpf_get_current_uid_gid();

	if (only_uid >= 0 && uid != only_uid)
		return false;
	if (only_ppid && BPF_CORE_READ(task, real_parent, tgid) != only_ppid)
		return false;
	return in_sets(task);
}

/* A call begins. On success it returns into another program, and the caller's
 * memory is gone; if it fails, the arguments are where the caller has put them.
 * So they are not read yet, but for the first one's beginning.
 */
static __always_inline int enter_exec(int dirfd, const char *filename,
				      const char *const *argv,
				      __u32 own_room)
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
	__u64 thread = (__u64)task;
	const char *argv0 = 0;

	/* A call before has ended unseen, maybe that of another thread which
	 * had this address.
	 */
	if (!bpf_map_delete_elem(&calls, &thread))
		__sync_fetch_and_add(&lost, 1);
	if (!wanted(task))
		return 0;
	call.mm = (__u64)BPF_CORE_READ(task, mm);
	call.filename = (__u64)filename;
	call.argv = (__u64)argv;
	bpf_probe_read_user(&argv0, sizeof(argv0), argv);
	bpf_probe_read_user_str(call.argv0, sizeof(call.argv0), argv0);
	if (bpf_map_update_elem(&calls, &thread, &call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
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
static __always_inline __u64 read_filename(struct event *event, __u64 filename)
{
	__u64 size = read_string(event->text, PATH_LEN, (void *)filename);

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
static __always_inline __u64 read_new(struct event *event, __u64 start,
				     struct mm_struct *mm)
{
	__u64 args = BPF_CORE_READ(mm, arg_start);
	__u64 size = BPF_CORE_READ(mm, arg_end) - args;

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
static __always_inline __u64 read_old(struct event *event, __u64 start,
				     const char *const *argv)
{
	__u64 size = 0;
	const char *arg;
	long more;
	__u32 i;

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
static __always_inline void send(void *ctx, struct event *event, __u64 start,
				 __u64 size)
{
	__u64 length = sizeof(*event) - sizeof(event->text) + start;

	barrier_var(size);
	if (size > ARGS_LEN) {
		event->incomplete = true;
		size = ARGS_LEN;
	}
	event->filename_bytes = start;
	event->args_bytes = size;
	/* Behind the end of the text the event ends. */
	if (bpf_perf_event_output(ctx, &pb, BPF_F_CURRENT_CPU, event,
				  length + size))
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline void report(void *ctx, struct call *call, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct event *event;
	__u64 start, size;

	event = bpf_map_lookup_elem(&room, &call->room);
	if (!event)	/* never so, but the verifier wants to see it */
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->dirfd = call->dirfd;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->process_comm, task, group_leader, comm);
	__builtin_memcpy(event->argv0, call->argv0, sizeof(event->argv0));
	if ((__u64)mm != call->mm) {
		/* Above the arguments is the environment, then the file name. */
		start = read_filename(event, BPF_CORE_READ(mm, env_end));
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
	__u64 thread = bpf_get_current_task();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	__s32 pid = bpf_get_current_pid_tgid() >> 32;

	/* Not wanted, or begun before we were attached. */
	if (!call)
		return 0;
	if (call->pid != pid)	/* of another thread that had this address */
		__sync_fetch_and_add(&lost, 1);
	else if (!ret || with_failed)
		report(ctx, call, ret);
	bpf_map_delete_elem(&calls, &thread);
	return 0;
}

/* Below: kprobes. A system call is a function of the kernel, too, whose name
 * depends on the architecture: __x64_sys_execve. It has one argument, the
 * registers as user space has left them, and those hold the call's own
 * arguments. SEC("ksyscall/") finds the name, BPF_KSYSCALL() the arguments.
 */
SEC("ksyscall/execve")
int BPF_KSYSCALL(ksyscall_execve, const char *filename,
		 const char *const *argv)
{
	return enter_exec(AT_FDCWD, filename, argv, 0);
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
	return enter_exec(fd, filename, argv, 1);
}

SEC("kretsyscall/execveat")
int BPF_KRETPROBE(kretsyscall_execveat, int ret)
{
	return leave_exec(ctx, ret);
}

/* Below: tracepoints, which hand over the arguments as an array. */

SEC("tp/syscalls/sys_enter_execve")
int enter_execve(struct trace_event_raw_sys_enter *ctx)
{
	return enter_exec(AT_FDCWD, (void *)ctx->args[0],
			  (void *)ctx->args[1], 0);
}

SEC("tp/syscalls/sys_exit_execve")
int exit_execve(struct trace_event_raw_sys_exit *ctx)
{
	return leave_exec(ctx, ctx->ret);
}

SEC("tp/syscalls/sys_enter_execveat")
int enter_execveat(struct trace_event_raw_sys_enter *ctx)
{
	return enter_exec(ctx->args[0], (void *)ctx->args[1],
			  (void *)ctx->args[2], 1);
}

SEC("tp/syscalls/sys_exit_execveat")
int exit_execveat(struct trace_event_raw_sys_exit *ctx)
{
	return leave_exec(ctx, ctx->ret);
}

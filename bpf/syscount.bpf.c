// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-syscount, libbpf dialect: count the system calls. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "syscount.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 * Here that counts: this runs at each system call of the machine.
 */
const volatile __u32 count_by;		/* enum by */
const volatile __s32 own_pid;		/* not the calls of the tool itself */
const volatile __s32 only_pid;		/* calls of this process; 0: of all */
const volatile __s32 only_tid;		/* calls of this thread; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile __s32 only_number = -1;	/* this system call; -1: all */

__u64 lost;	/* calls whose key found no room in the map */

/* A hash with a value for each CPU. A program gets the one of its own CPU, so
 * that no other can be in the way: adding needs no atomic instruction, and no
 * cache line moves from CPU to CPU. Who reads has to add the values up.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, __u64);
} counts SEC(".maps");

/* 32-bit programs call the same tracepoint, but number 1 is exit() to them and
 * write() to others. Each architecture has its own way to tell them apart.
 */
static __always_inline bool is_32bit(struct bpf_raw_tracepoint_args *ctx)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#else
	struct pt_regs *regs = (void *)ctx->args[0];

	return BPF_CORE_READ(regs, pstate) & PSR_MODE32_BIT;
#endif
}

/* What is not asked for costs nothing: a condition on a constant is decided
 * before the program runs.
 */
static __always_inline bool wanted(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__s32 pid = thread >> 32, tid = thread;

	if (pid == own_pid || (only_pid && pid != only_pid) ||
	    (only_tid && tid != only_tid))
		return false;
	if (only_uid >= 0 && (__u32)bpf_get_current_uid_gid() != only_uid)
		return false;
	if (only_number >= 0 && (ctx->args[1] != only_number || is_32bit(ctx)))
		return false;
	return true;
}

/* Look a counter up; create it with 0 where there is none. */
static __always_inline __u64 *counter_of(struct key *key)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, key);
	__u64 zero = 0;

	if (counter)
		return counter;
	/* Another CPU may be faster. BPF_NOEXIST keeps what it has counted
	 * by then, and the second look finds its element.
	 */
	bpf_map_update_elem(&counts, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, key);
}

/* A raw tracepoint hands over what the kernel's own code says there, here
 * trace_sys_enter(regs, id), and makes no record of it: the cheapest way.
 */
SEC("raw_tp/sys_enter")
int handle_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct key key = {};
	__u64 *counter;

	if (!wanted(ctx))
		return 0;
	if (count_by == BY_SYSCALL) {
		key.number = ctx->args[1];
		key.is_32bit = is_32bit(ctx);
	} else {
		bpf_get_current_comm(&key.comm, sizeof(key.comm));
	}
	if (count_by == BY_PID)
		key.pid = bpf_get_current_pid_tgid() >> 32;
	counter = counter_of(&key);
	if (counter)
		*counter += 1;
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

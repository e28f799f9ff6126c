// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-syscount, libbpf dialect: count the system calls. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "syscount.h"
#include "lib/filter.bpf.h"
#include "lib/maps.bpf.h"
#include "lib/syscall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 * That matters here: this runs at each system call of the machine.
 */
const volatile __u32 count_by;		/* enum by */
const volatile __s32 own_pid;		/* not the calls of the tool itself */
const volatile __s32 only_pid;		/* calls of this process; 0: of all */
const volatile __s32 only_tid;		/* calls of this thread; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile __s32 only_number = -1;	/* this system call; -1: all */

__u64 lost;	/* calls that found the map full */

/* A hash with a value for each CPU. A program gets the value of its own CPU, and
 * no other CPU writes to it: adding needs no atomic instruction, and no cache
 * line moves from CPU to CPU. The Python side adds up the values.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline bool is_wanted(struct bpf_raw_tracepoint_args *ctx)
{
	__s32 pid = bpf_get_current_pid_tgid() >> 32;

	if (pid == own_pid || !pid_matches(only_pid) ||
	    !tid_matches(only_tid) || !uid_matches(only_uid))
		return false;
	if (only_number >= 0 && (ctx->args[1] != only_number || is_32bit(ctx)))
		return false;
	return true;
}

/* A raw tracepoint: the program gets the arguments of the kernel's own call, here
 * trace_sys_enter(regs, id). The kernel makes no record, so this costs least.
 */
SEC("raw_tp/sys_enter")
int handle_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct key key = {};
	__u64 *counter, zero = 0;

	if (!is_wanted(ctx))
		return 0;
	if (count_by == BY_SYSCALL) {
		key.number = ctx->args[1];
		key.is_32bit = is_32bit(ctx);
	} else {
		bpf_get_current_comm(&key.comm, sizeof(key.comm));
	}
	if (count_by == BY_PID)
		key.pid = bpf_get_current_pid_tgid() >> 32;
	/* Look up the counter; create it with 0 if there is none. */
	counter = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	if (counter)
		*counter += 1;
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

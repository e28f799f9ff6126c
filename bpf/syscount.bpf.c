// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-syscount, libbpf dialect: count the system calls. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "syscount.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 * That matters here: this runs at each system call of the machine.
 */
const volatile __u32 count_by;		/* enum by */
const volatile __s32 own_pid;		/* not the calls of the tool itself */
const volatile __s32 only_tid;		/* calls of this thread; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile __s32 only_number = -1;	/* this system call; -1: all */
const volatile __u32 returns;		/* ONLY_FAILED, LATENCY */
const volatile __s32 only_errno;	/* with ONLY_FAILED: this error; 0: any */

__u64 lost;	/* calls that found a map full */

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

#include "syscount_call.bpf.h"	/* count_call() */

/* A raw tracepoint: the program gets the arguments of the kernel's own call, here
 * trace_sys_enter(regs, id), as numbers. The kernel makes no record of them.
 */
SEC("raw_tp/sys_enter")
int handle_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	return count_call((struct pt_regs *)ctx->args[0], ctx->args[1]);
}

/* The same with types, from the kernel's BTF: the verifier knows that regs is a
 * pointer, and to what. BPF_PROG() names the arguments.
 */
SEC("tp_btf/sys_enter")
int BPF_PROG(handle_typed, struct pt_regs *regs, long number)
{
	return count_call(regs, number);
}

/* An ordinary tracepoint: the kernel writes a record first, whose format
 * /sys/kernel/tracing/events/raw_syscalls/sys_enter/format describes.
 */
SEC("tp/raw_syscalls/sys_enter")
int handle_record(struct trace_event_raw_sys_enter *ctx)
{
	return count_call(regs_of_caller(), ctx->id);
}

#include "syscount_return.bpf.h"	/* with -L, -x and -e: the same hooks at the return */

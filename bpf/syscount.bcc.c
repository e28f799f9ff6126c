// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-syscount, BCC dialect: count the system calls. */
#include "syscount.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dcount_by=	enum by
 *	-Down_pid=	not the calls of the tool itself
 *	-Donly_tid=	calls of this thread; 0: of all
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_number=	this system call; -1: all
 *	-Dreturns=	ONLY_FAILED, LATENCY
 *	-Donly_errno=	with ONLY_FAILED: this error; 0: any
 *	-Dcounts_max_entries=	how many counters there can be
 *	-Dprocess_names_max_entries=	as many, or 1 without BY_ALL
 *	-Dcalls_max_entries=	how many calls can be in progress
 *	-Dtimes_max_entries=	how many slots of histograms there can be
 */

BPF_ARRAY(lost, u64, 1);	/* calls that found a map full */

/* A hash with a value for each CPU. A program gets the value of its own CPU, and
 * no other CPU writes to it: adding needs no atomic instruction, and no cache
 * line moves from CPU to CPU. The Python side adds up the values.
 */
BPF_PERCPU_HASH(counts, struct key, u64, counts_max_entries);

#include "syscount_call.bcc.h"	/* count_call() */

/* A raw tracepoint: the program gets the arguments of the kernel's own call, here
 * trace_sys_enter(regs, id), as numbers. The kernel makes no record of them.
 */
RAW_TRACEPOINT_PROBE(sys_enter)
{
	return count_call((struct pt_regs *)ctx->args[0], ctx->args[1]);
}

/* An ordinary tracepoint: the kernel writes a record first, whose format
 * /sys/kernel/tracing/events/raw_syscalls/sys_enter/format describes. BCC makes
 * the type of args from it.
 */
TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
	return count_call(regs_of_caller(), args->id);
}

#include "syscount_return.bcc.h"	/* with -L, -x and -e: the same hooks at the return */

/* The libbpf dialect has tp_btf, too: a raw tracepoint with types. BCC cannot load it. */

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-syscount, BCC dialect: count the system calls. */
#include "syscount.h"
#include "lib/filter.bcc.h"
#include "lib/syscall.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dcount_by=	enum by
 *	-Down_pid=	not the calls of the tool itself
 *	-Donly_pid=	calls of this process; 0: of all
 *	-Donly_tid=	calls of this thread; 0: of all
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_number=	this system call; -1: all
 *	-Dcounts_max_entries=	how many counters there can be
 */

BPF_ARRAY(lost, u64, 1);	/* calls that found the map full */

/* A hash with a value for each CPU. A program gets the value of its own CPU, and
 * no other CPU writes to it: adding needs no atomic instruction, and no cache
 * line moves from CPU to CPU. The Python side adds up the values.
 */
BPF_PERCPU_HASH(counts, struct key, u64, counts_max_entries);

static __always_inline bool is_wanted(struct bpf_raw_tracepoint_args *ctx)
{
	s32 pid = bpf_get_current_pid_tgid() >> 32;

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
RAW_TRACEPOINT_PROBE(sys_enter)
{
	struct key key = {};
	u64 *counter, zero = 0;
	int first = 0;

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
	counter = counts.lookup_or_try_init(&key, &zero);
	if (counter)
		*counter += 1;
	else
		lost.atomic_increment(first);
	return 0;
}

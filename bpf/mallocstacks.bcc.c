// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mallocstacks, BCC dialect: bytes and calls of malloc() by stack. */
#include <uapi/linux/ptrace.h>
#include "mallocstacks.h"
#include "lib/filter.bcc.h"
#include "lib/program.bcc.h"
#include "mallocstacks_call.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dtarget_pid=		the process to count, as its own PID namespace
 *				numbers it
 *	-Dpidns_dev=		device and inode of /proc/PID/ns/pid
 *	-Dpidns_ino=
 *	-Dsize_argument=	which argument is the size, 1 to 3
 *	-Dnumber_argument=	which one is a number of elements, as in
 *				calloc(number, size); 0 if there is none
 *	-Dtotals_max_entries=	NUM_STACKS, and -Ddeep_totals_max_entries=
 */

/* Bytes and calls of each stack. The whole stack is the key, all 127 frames
 * that the kernel takes at most, so two stacks never count as one.
 */
BPF_HASH(totals, struct short_stack, struct total, totals_max_entries);

/* The same for more than FEW_FRAMES, 30. The kernel hashes all bytes of a key,
 * also zeros, so short stacks have a map with short keys: a short_stack is
 * the beginning of a stack.
 */
BPF_HASH(deep_totals, struct stack, struct total, deep_totals_max_entries);

/* Bytes and calls without a stack, by reason. */
BPF_ARRAY(unattributed, struct total, REASONS);

/* Scratch space: a stack is larger than the 512 bytes of a program's own stack.
 * Each CPU has a few slots, since a thread may be preempted in a uprobe's
 * program, and the next one runs it, too: commit 8c7dcb84e3b7 ("bpf: implement
 * sleepable uprobes by chaining gps") (in v6.0).
 */
BPF_PERCPU_ARRAY(scratch, struct slot, SLOTS);

/* Take a slot that no preempted thread is using. A thread that adds 1 and then
 * sees 1 is alone there; two that add at the same time both see 2, and go on.
 */
static struct slot *take_slot(void)
{
	/* A key must be in memory. i is in a register, for the verifier. */
	for (int i = 0; i < SLOTS; i++) {
		int key = i;
		struct slot *slot = scratch.lookup(&key);

		if (!slot)
			break;
		lock_xadd(&slot->users, 1);
		if (slot->users == 1)
			return slot;
		lock_xadd(&slot->users, -1);
	}
	return 0;
}

static struct total *without_stack(int reason)
{
	return unattributed.lookup(&reason);
}

/* Collect the stack, and find the entry that the call counts in. */
static struct total *find_total(struct pt_regs *ctx, struct stack *stack)
{
	struct total zeros = {}, *total;
	long bytes;

	/* At its first instruction a function has no frame yet. The kernel goes
	 * from frame to frame, so it misses the caller.
	 */
	stack->caller = return_address(ctx);
	stack->program = current_program();
	/* The kernel collects stacks in one buffer per CPU. A thread that preempts
	 * this one overwrites it: then this call has the other's stack, or none.
	 * The libbpf dialect turns preemption off by a kfunc; BCC has none.
	 * After the last frame come zeros.
	 */
	bytes = bpf_get_stack(ctx, stack->frames, sizeof(stack->frames),
			      BPF_F_USER_STACK);
	if (bytes <= 0)
		return without_stack(NO_USER_STACK);
	if (bytes <= FEW_FRAMES * sizeof(u64))
		total = totals.lookup_or_try_init((void *)stack, &zeros);
	else
		total = deep_totals.lookup_or_try_init(stack, &zeros);
	return total ?: without_stack(MAP_FULL);
}

/* The Python side attaches this to the function, by its file and offset.
 *
 * Local variables take at most 48 bytes. A CPU has one copy of larger ones, since
 * commit e00931c02568 ("bpf: Enable private stack for eligible subprogs") (in
 * v6.13), even while a thread is preempted.
 */
int handle_alloc(struct pt_regs *ctx)
{
	struct total *total;
	struct slot *slot;

	/* Other processes hit the breakpoint, too: a child between fork() and
	 * exec(), or one that another tool traces at the same place.
	 */
	if (!is_process_of(pidns_dev, pidns_ino, target_pid))
		return 0;

	slot = take_slot();
	total = slot ? find_total(ctx, &slot->stack) : without_stack(NO_SCRATCH);
	if (slot)
		lock_xadd(&slot->users, -1);

	/* Atomic, since other CPUs add at the same time. */
	if (total) {
		lock_xadd(&total->bytes, requested(ctx));
		lock_xadd(&total->calls, 1);
	}
	return 0;
}

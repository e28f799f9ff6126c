// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mallocstacks, BCC dialect: bytes and calls of malloc() by stack. */
#include <uapi/linux/ptrace.h>
#include "mallocstacks.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dtarget_pid=		the process to count, as its own PID namespace
 *				counts it
 *	-Dpidns_dev=		that namespace: the device and the inode
 *	-Dpidns_ino=		number of /proc/PID/ns/pid
 *	-Dsize_argument=	which argument is the size, 1 to 3:
 *				malloc(size), realloc(p, size)
 *	-Dnumber_argument=	which one is a number of elements, as in
 *				calloc(number, size); 0 if there is none
 *	-DMAP_max_entries=	how many entries each map has
 */

/* Stacks by an id that the kernel makes of a hash of the frames. Each id is
 * one slot, without a chain behind it: a stack whose slot is taken by another
 * one is refused with -EEXIST.
 */
BPF_STACK_TRACE(stack_traces, stack_traces_max_entries);

/* The same by a hash of ours, which refuses none as long as there is room. It
 * takes twice as long, so it is for the stacks that `stack_traces` refuses, and
 * for all while they are new: see NEW_NS.
 */
BPF_HASH(stacks, u64, struct kept_stack, stacks_max_entries);

/* The figures: bytes and calls for every stack, while it is new and then. */
BPF_HASH(totals, struct stack_key, struct total, totals_max_entries);

/* What cannot be put down to a stack is counted all the same. */
BPF_ARRAY(apart, struct total, OUTCOMES);

/* Room to work in, by thread: a stack is 1016 bytes, and a program's own stack
 * ends at 512. An entry per CPU would not do, since the kernel may let another
 * thread run in the middle of a uprobe's program.
 */
BPF_HASH(rooms, u32, struct kept_stack, 256);

/* Zeros: BCC programs have no global variables, but an array begins as zeros.
 */
BPF_ARRAY(empty_stack, struct kept_stack, 1);

static bool is_target(void)
{
	struct bpf_pidns_info ns = {};

	/* The uprobe is attached for one process. Yet a child between fork()
	 * and exec() has its breakpoint too, and so has any process that
	 * another tool traces at the same place.
	 */
	return !bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns,
					    sizeof(ns)) &&
	       ns.tgid == target_pid;
}

static u64 argument(struct pt_regs *ctx, int number)
{
	if (number == 1)
		return PT_REGS_PARM1(ctx);
	if (number == 2)
		return PT_REGS_PARM2(ctx);
	return PT_REGS_PARM3(ctx);
}

/* The bytes that are asked for. No allocator gives half of the address space
 * or more: such a call fails, and adds nothing.
 */
static u64 requested(struct pt_regs *ctx)
{
	u64 size = argument(ctx, size_argument), number;

	if (number_argument) {
		number = argument(ctx, number_argument);
		if (size && number > (~0ULL >> 1) / size)
			return 0;
		size *= number;
	}
	return size >> 63 ? 0 : size;
}

/* Where the function returns to. It has not made its own stack frame yet, so
 * the kernel, which goes from frame to frame, would leave out this one.
 */
static void read_caller(struct pt_regs *ctx, u64 *caller)
{
#ifdef __x86_64__
	/* The call instruction has put it on top of the stack. */
	bpf_probe_read_user(caller, sizeof(*caller), (void *)PT_REGS_SP(ctx));
#else
	*caller = PT_REGS_RET(ctx);	/* it stands in a register */
#endif
}

/* 64 bits that depend on every frame. */
static u64 hash(const struct kept_stack *stack)
{
	u64 value = 0;

	for (int i = 0; i < MAX_FRAMES && stack->frames[i]; i++) {
		value = (value ^ stack->frames[i]) * 0x9e3779b97f4a7c15ULL;
		value ^= value >> 32;
	}
	return value;
}

static bool same(const struct kept_stack *a, const struct kept_stack *b)
{
	for (int i = 0; i < MAX_FRAMES; i++) {
		if (a->frames[i] != b->frames[i])
			return false;
		if (!a->frames[i])
			break;
	}
	return true;
}

/* Find the stack in `stacks`, or put it there. Two stacks may share a hash:
 * then the second one takes the next key.
 */
static struct kept_stack *find_or_add(struct kept_stack *stack, u64 *key)
{
	*key = hash(stack) | BY_HASH;
	for (int i = 0; i < 2; i++) {
		struct kept_stack *found;

		/* Another CPU may be faster than we are to put it there: what
		 * counts is what the map has then.
		 */
		found = stacks.lookup_or_try_init(key, stack);
		if (!found)
			break;
		if (same(found, stack))
			return found;
		*key = (*key + 1) | BY_HASH;
	}
	return 0;
}

/* Take the stack once more, to tell it by every frame. Returns it as it stands
 * in `stacks`, or NULL and why not.
 */
static struct kept_stack *keep_stack(struct pt_regs *ctx, u64 *key,
				     int *outcome)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct kept_stack *room, *empty, *kept = 0;
	int zero = 0;

	*outcome = MAP_FULL;
	empty = empty_stack.lookup(&zero);
	if (!empty)
		return 0;
	room = rooms.lookup_or_try_init(&thread, empty);
	if (!room)
		return 0;
	if (bpf_get_stack(ctx, room->frames, sizeof(room->frames),
			  BPF_F_USER_STACK) > 0) {
		room->since_ns = bpf_ktime_get_ns();
		room->number = -1;
		kept = find_or_add(room, key);
	} else {
		*outcome = NO_USER_STACK;
	}
	rooms.delete(&thread);
	return kept;
}

/* The figures under a key, zeros at first; NULL if there is no room. */
static struct total *find_or_begin(struct stack_key *key)
{
	struct total zeros = {};

	return totals.lookup_or_try_init(key, &zeros);
}

/* Whether the stack's number is enough from now on. It keeps the first one that
 * it gets, since the figures under that number lead to the stack by it.
 */
static bool is_settled(struct kept_stack *kept, int id)
{
	if (id < 0 || bpf_ktime_get_ns() - kept->since_ns <= NEW_NS)
		return false;
	if (kept->number < 0)
		kept->number = id;
	return kept->number == id;
}

/* The figures of a stack, or those of what has none. */
static struct total *find_total(struct pt_regs *ctx)
{
	struct total *total, *settled;
	struct stack_key key = {};
	struct kept_stack *kept;
	int outcome, id;

	/* Mostly this stack has been here before, and long ago. */
	read_caller(ctx, &key.caller);
	id = stack_traces.get_stackid(ctx, BPF_F_USER_STACK);
	key.stack = id;
	if (id >= 0) {
		total = totals.lookup(&key);
		if (total)
			return total;
	}

	kept = keep_stack(ctx, &key.stack, &outcome);
	if (kept) {
		total = find_or_begin(&key);
		if (total && is_settled(kept, id)) {
			key.stack = id;
			settled = find_or_begin(&key);
			if (settled)
				return settled;
		}
		if (total)
			return total;
	}
	return apart.lookup(&outcome);
}

/* The Python side says which function this is attached to, in which file.
 *
 * A preemptible kernel may take the CPU from a uprobe's program and give it to
 * another thread, which comes here, too: commit 8c7dcb84e3b7 ("bpf: implement
 * sleepable uprobes by chaining gps") (in v6.0). The libbpf dialect asks it not
 * to, by a kfunc, which BCC cannot call. So here a stack can be that of another
 * thread now and then, or missing. And no more than 48 bytes of local variables:
 * more than that each CPU has only once, since commit e00931c02568 ("bpf: Enable
 * private stack for eligible subprogs") (in v6.13).
 */
int handle_alloc(struct pt_regs *ctx)
{
	struct total *total;

	if (!is_target())
		return 0;
	total = find_total(ctx);
	if (!total)
		return 0;

	/* Atomic, since threads add on several CPUs at the same time. */
	lock_xadd(&total->bytes, requested(ctx));
	lock_xadd(&total->calls, 1);
	return 0;
}

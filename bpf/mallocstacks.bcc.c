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
 *	-DMAP_max_entries=	how many stacks each map holds
 */

/* Stacks by an id that the kernel makes of a hash of the frames. Each id is
 * one slot, without a chain behind it: a stack whose slot is taken by another
 * one is refused with -EEXIST.
 */
BPF_STACK_TRACE(stack_traces, stack_traces_max_entries);

/* The stacks that were refused, by a hash that is ours. */
BPF_HASH(collided, u64, struct stack, collided_max_entries);

/* The figures: bytes and calls for every stack. */
BPF_HASH(totals, struct stack_key, struct total, totals_max_entries);

/* What cannot be put down to a stack is counted all the same. */
BPF_ARRAY(apart, struct total, OUTCOMES);

/* Room to work in, by thread: a stack is 1016 bytes, and a program's own stack
 * ends at 512. An entry per CPU would not do, since the kernel may let another
 * thread run in the middle of a uprobe's program.
 */
BPF_HASH(rooms, u32, struct stack, 256);

/* Zeros: BCC programs have no global variables, but an array begins as zeros.
 */
BPF_ARRAY(empty_stack, struct stack, 1);

/* How many stacks have got figures so far. */
BPF_ARRAY(additions, u64, 1);

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
static u64 return_address(struct pt_regs *ctx)
{
#ifdef __x86_64__
	u64 address = 0;

	/* The call instruction has put it on top of the stack. */
	bpf_probe_read_user(&address, sizeof(address),
			    (void *)PT_REGS_SP(ctx));
	return address;
#else
	return PT_REGS_RET(ctx);	/* it stands in a register */
#endif
}

/* 64 bits that depend on every frame. */
static u64 hash(const struct stack *stack)
{
	u64 value = 0;

	for (int i = 0; i < MAX_FRAMES && stack->frames[i]; i++) {
		value = (value ^ stack->frames[i]) * 0x9e3779b97f4a7c15ULL;
		value ^= value >> 32;
	}
	return value;
}

static bool same(const struct stack *a, const struct stack *b)
{
	for (int i = 0; i < MAX_FRAMES; i++) {
		if (a->frames[i] != b->frames[i])
			return false;
		if (!a->frames[i])
			break;
	}
	return true;
}

/* Find the stack in `collided`, or put it there. Two stacks may share a hash:
 * then the second one takes the next key, and so on a few times.
 */
static int find_or_add(struct stack *stack, u64 *key)
{
	*key = hash(stack) | IN_COLLIDED;
	for (int i = 0; i < 4; i++) {
		struct stack *found;

		/* Another CPU may be faster than we are to put it there: what
		 * counts is what the map has then.
		 */
		found = collided.lookup_or_try_init(key, stack);
		if (!found)
			break;
		if (same(found, stack))
			return RECORDED;
		*key = (*key + 1) | IN_COLLIDED;
	}
	return MAP_FULL;
}

/* Keep a stack that `stack_traces` has no room for. */
static int keep_collided(struct pt_regs *ctx, u64 *key)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct stack *room, *empty;
	int outcome, zero = 0;

	empty = empty_stack.lookup(&zero);
	if (!empty)
		return MAP_FULL;
	room = rooms.lookup_or_try_init(&thread, empty);
	if (!room)
		return MAP_FULL;
	if (bpf_get_stack(ctx, room, sizeof(*room), BPF_F_USER_STACK) > 0)
		outcome = find_or_add(room, key);
	else
		outcome = NO_USER_STACK;
	rooms.delete(&thread);
	return outcome;
}

/* A stack that has no figures yet, by its id or by the kernel's refusal. */
static int add_stack(struct pt_regs *ctx, struct stack_key *key, int id)
{
	/* Two CPUs may fill one slot at the same time, and the later stack
	 * stays. Whoever comes first asks again: is it still mine?
	 */
	if (id >= 0)
		id = stack_traces.get_stackid(ctx, BPF_F_USER_STACK);
	key->stack = id;
	return id < 0 ? keep_collided(ctx, &key->stack) : RECORDED;
}

/* The figures of a stack, or those of what has none. */
static struct total *find_total(struct pt_regs *ctx)
{
	struct stack_key key = { .caller = return_address(ctx) };
	struct total *total = 0, empty_total = {};
	int outcome, id, zero = 0;
	volatile u64 *added;
	u64 before;

	added = additions.lookup(&zero);
	if (!added)	/* never so, but the verifier wants to see it */
		return 0;
	before = *added;

	/* Mostly this stack has been here before. Figures that another CPU has
	 * added meanwhile may be those of a stack that took our slot.
	 */
	id = stack_traces.get_stackid(ctx, BPF_F_USER_STACK);
	key.stack = id;
	if (id >= 0)
		total = totals.lookup(&key);
	if (total && *added == before)
		return total;
	outcome = add_stack(ctx, &key, id);
	if (outcome == RECORDED) {
		total = totals.lookup(&key);
		if (total)
			return total;
		additions.atomic_increment(zero);
		total = totals.lookup_or_try_init(&key, &empty_total);
		if (total)
			return total;
		outcome = MAP_FULL;
	}
	return apart.lookup(&outcome);
}

/* The Python side says which function this is attached to, in which file. */
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

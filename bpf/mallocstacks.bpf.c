// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mallocstacks, libbpf dialect: bytes and calls of malloc() by stack. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "mallocstacks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The process to count, as its own PID namespace counts it. */
int target_pid;
__u64 pidns_dev;	/* that namespace: the device and the inode */
__u64 pidns_ino;	/* number of /proc/PID/ns/pid */

/* Which argument is the size, 1 to 3: malloc(size), realloc(p, size). Some
 * functions take a number of elements as well, calloc(number, size), and
 * others do not: then it is 0.
 */
int size_argument;
int number_argument;

/* Stacks by an id that the kernel makes of a hash of the frames. Each id is
 * one slot, without a chain behind it: a stack whose slot is taken by another
 * one is refused with -EEXIST.
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct stack);
} stack_traces SEC(".maps");

/* The stacks that were refused, by a hash that is ours. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct stack);
} collided SEC(".maps");

/* The figures: bytes and calls for every stack. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct stack_key);
	__type(value, struct total);
} totals SEC(".maps");

/* What cannot be put down to a stack is counted all the same. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, struct total);
} apart SEC(".maps");

/* Room to work in, by thread: a stack is 1016 bytes, and a program's own stack
 * ends at 512. An entry per CPU would not do, since the kernel may let another
 * thread run in the middle of a uprobe's program.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct stack);
} rooms SEC(".maps");

/* How many stacks have got figures so far. */
__u64 additions;

static const struct stack empty_stack;
static const struct total empty_total;

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

static __u64 argument(struct pt_regs *ctx, int number)
{
	__u64 first = PT_REGS_PARM1(ctx);
	__u64 second = PT_REGS_PARM2(ctx);
	__u64 third = PT_REGS_PARM3(ctx);

	/* Read first, choose then: the compiler would compute the address of
	 * the one that is wanted, and the verifier accepts ctx only with
	 * offsets that are constants.
	 */
	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	return number == 1 ? first : number == 2 ? second : third;
}

/* The bytes that are asked for. No allocator gives half of the address space
 * or more: such a call fails, and adds nothing.
 */
static __u64 requested(struct pt_regs *ctx)
{
	__u64 size = argument(ctx, size_argument), number;

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
static __u64 return_address(struct pt_regs *ctx)
{
#ifdef bpf_target_x86
	__u64 address = 0;

	/* The call instruction has put it on top of the stack. */
	bpf_probe_read_user(&address, sizeof(address),
			    (void *)PT_REGS_SP(ctx));
	return address;
#else
	return PT_REGS_RET(ctx);	/* it stands in a register */
#endif
}

/* 64 bits that depend on every frame. */
static __u64 hash(const struct stack *stack)
{
	__u64 value = 0;

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
static int find_or_add(const struct stack *stack, __u64 *key)
{
	*key = hash(stack) | IN_COLLIDED;
	for (int i = 0; i < 4; i++) {
		struct stack *found;

		found = bpf_map_lookup_elem(&collided, key);
		if (!found) {
			/* Another CPU may be faster: what counts is what the
			 * map has then.
			 */
			bpf_map_update_elem(&collided, key, stack,
					    BPF_NOEXIST);
			found = bpf_map_lookup_elem(&collided, key);
		}
		if (!found)
			break;
		if (same(found, stack))
			return RECORDED;
		*key = (*key + 1) | IN_COLLIDED;
	}
	return MAP_FULL;
}

/* Keep a stack that `stack_traces` has no room for. */
static int keep_collided(struct pt_regs *ctx, __u64 *key)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct stack *room;
	int outcome;

	bpf_map_update_elem(&rooms, &thread, &empty_stack, BPF_ANY);
	room = bpf_map_lookup_elem(&rooms, &thread);
	if (!room)
		return MAP_FULL;
	if (bpf_get_stack(ctx, room, sizeof(*room), BPF_F_USER_STACK) > 0)
		outcome = find_or_add(room, key);
	else
		outcome = NO_USER_STACK;
	bpf_map_delete_elem(&rooms, &thread);
	return outcome;
}

/* A stack that has no figures yet, by its id or by the kernel's refusal. */
static int add_stack(struct pt_regs *ctx, struct stack_key *key, long id)
{
	/* Two CPUs may fill one slot at the same time, and the later stack
	 * stays. Whoever comes first asks again: is it still mine?
	 */
	if (id >= 0)
		id = bpf_get_stackid(ctx, &stack_traces, BPF_F_USER_STACK);
	key->stack = id;
	return id < 0 ? keep_collided(ctx, &key->stack) : RECORDED;
}

/* The figures of a stack, or those of what has none. */
static struct total *find_total(struct pt_regs *ctx)
{
	struct stack_key key = { .caller = return_address(ctx) };
	volatile __u64 *added = &additions;
	struct total *total = 0;
	__u64 before = *added;
	__u32 outcome;
	long id;

	/* Mostly this stack has been here before. Figures that another CPU has
	 * added meanwhile may be those of a stack that took our slot.
	 */
	id = bpf_get_stackid(ctx, &stack_traces, BPF_F_USER_STACK);
	key.stack = id;
	if (id >= 0)
		total = bpf_map_lookup_elem(&totals, &key);
	if (total && *added == before)
		return total;
	outcome = add_stack(ctx, &key, id);
	if (outcome == RECORDED) {
		total = bpf_map_lookup_elem(&totals, &key);
		if (total)
			return total;
		__sync_fetch_and_add(&additions, 1);
		bpf_map_update_elem(&totals, &key, &empty_total, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&totals, &key);
		if (total)
			return total;
		outcome = MAP_FULL;
	}
	return bpf_map_lookup_elem(&apart, &outcome);
}

/* The Python side says which function this is attached to, in which file. */
SEC("uprobe")
int handle_alloc(struct pt_regs *ctx)
{
	struct total *total;

	if (!is_target())
		return 0;
	total = find_total(ctx);
	if (!total)
		return 0;

	/* Atomic, since threads add on several CPUs at the same time. */
	__sync_fetch_and_add(&total->bytes, requested(ctx));
	__sync_fetch_and_add(&total->calls, 1);
	return 0;
}

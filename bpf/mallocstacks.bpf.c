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

/* The same by a hash of ours, which refuses none as long as there is room. It
 * takes twice as long, so it is for the stacks that `stack_traces` refuses, and
 * for all while they are new: see NEW_NS.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct kept_stack);
} stacks SEC(".maps");

/* The figures: bytes and calls for every stack, while it is new and then. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
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
	__type(value, struct kept_stack);
} rooms SEC(".maps");

static const struct kept_stack empty_stack;
static const struct total empty_total;

/* Functions of the kernel that programs may call (kfuncs), since commit
 * fc7566ad0a82 ("bpf: Introduce bpf_preempt_[disable,enable] kfuncs") (in
 * v6.10). On an older kernel their addresses are 0.
 */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

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
static void read_caller(struct pt_regs *ctx, __u64 *caller)
{
#ifdef bpf_target_x86
	/* The call instruction has put it on top of the stack. */
	bpf_probe_read_user(caller, sizeof(*caller), (void *)PT_REGS_SP(ctx));
#else
	*caller = PT_REGS_RET(ctx);	/* it stands in a register */
#endif
}

/* 64 bits that depend on every frame. */
static __u64 hash(const struct kept_stack *stack)
{
	__u64 value = 0;

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
static struct kept_stack *find_or_add(const struct kept_stack *stack,
				      __u64 *key)
{
	*key = hash(stack) | BY_HASH;
	for (int i = 0; i < 2; i++) {
		struct kept_stack *found;

		found = bpf_map_lookup_elem(&stacks, key);
		if (!found) {
			/* Another CPU may be faster: what counts is what the
			 * map has then.
			 */
			bpf_map_update_elem(&stacks, key, stack, BPF_NOEXIST);
			found = bpf_map_lookup_elem(&stacks, key);
		}
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
static struct kept_stack *keep_stack(struct pt_regs *ctx, __u64 *key,
				     __u32 *outcome)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct kept_stack *room, *kept = 0;

	*outcome = MAP_FULL;
	bpf_map_update_elem(&rooms, &thread, &empty_stack, BPF_ANY);
	room = bpf_map_lookup_elem(&rooms, &thread);
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
	bpf_map_delete_elem(&rooms, &thread);
	return kept;
}

/* The figures under a key, zeros at first; NULL if there is no room. */
static struct total *find_or_begin(const struct stack_key *key)
{
	struct total *total;

	total = bpf_map_lookup_elem(&totals, key);
	if (total)
		return total;
	bpf_map_update_elem(&totals, key, &empty_total, BPF_NOEXIST);
	return bpf_map_lookup_elem(&totals, key);
}

/* Whether the stack's number is enough from now on. It keeps the first one that
 * it gets, since the figures under that number lead to the stack by it.
 */
static bool is_settled(struct kept_stack *kept, long id)
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
	__u32 outcome;
	long id;

	/* Mostly this stack has been here before, and long ago. */
	read_caller(ctx, &key.caller);
	id = bpf_get_stackid(ctx, &stack_traces, BPF_F_USER_STACK);
	key.stack = id;
	if (id >= 0) {
		total = bpf_map_lookup_elem(&totals, &key);
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
	return bpf_map_lookup_elem(&apart, &outcome);
}

static void count(struct pt_regs *ctx)
{
	struct total *total;

	if (!is_target())
		return;
	total = find_total(ctx);
	if (!total)
		return;

	/* Atomic, since threads add on several CPUs at the same time. */
	__sync_fetch_and_add(&total->bytes, requested(ctx));
	__sync_fetch_and_add(&total->calls, 1);
}

/* The Python side says which function this is attached to, in which file. */
SEC("uprobe")
int handle_alloc(struct pt_regs *ctx)
{
	/* A preemptible kernel may take the CPU from a uprobe's program and
	 * give it to another thread, which comes here, too: commit
	 * 8c7dcb84e3b7 ("bpf: implement sleepable uprobes by chaining gps")
	 * (in v6.0). What each CPU has once, such as the buffer where the
	 * kernel collects a stack, would then be overwritten.
	 */
	if (bpf_preempt_disable)
		bpf_preempt_disable();
	count(ctx);
	if (bpf_preempt_enable)
		bpf_preempt_enable();
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-mallocstacks, libbpf dialect: bytes and calls of malloc() by stack. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "mallocstacks.h"
#include "lib/filter.bpf.h"
#include "lib/maps.bpf.h"
#include "lib/program.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The process to count, as its own PID namespace numbers it. */
int target_pid;
__u64 pidns_dev;	/* device and inode of /proc/PID/ns/pid */
__u64 pidns_ino;

/* Which argument is the size, 1 to 3, and which one is a number of elements,
 * as in calloc(number, size); 0 if there is none.
 */
int size_argument;
int number_argument;

#include "mallocstacks_call.bpf.h"	/* requested(), return_address() */

/* Bytes and calls of each stack. The whole stack is the key, all 127 frames
 * that the kernel takes at most, so two stacks never count as one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);	/* the argument NUM_STACKS changes it */
	__type(key, struct short_stack);
	__type(value, struct total);
} totals SEC(".maps");

/* The same for more than FEW_FRAMES, 30. The kernel hashes all bytes of a key,
 * also zeros, so short stacks have a map with short keys: a short_stack is
 * the beginning of a stack.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);	/* likewise */
	__type(key, struct stack);
	__type(value, struct total);
} deep_totals SEC(".maps");

/* Bytes and calls without a stack, by reason. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, struct total);
} unattributed SEC(".maps");

/* Scratch space: a stack is larger than the 512 bytes of a program's own stack.
 * Each CPU has a few slots, since a thread may be preempted in a uprobe's
 * program, and the next one runs it, too: commit 8c7dcb84e3b7 ("bpf: implement
 * sleepable uprobes by chaining gps") (in v6.0).
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct slot);
} scratch SEC(".maps");

/* Functions of the kernel (kfuncs), NULL before commit fc7566ad0a82 ("bpf:
 * Introduce bpf_preempt_[disable,enable] kfuncs") (in v6.10).
 */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* Take a slot that no preempted thread is using. A thread that adds 1 and then
 * sees 1 is alone there; two that add at the same time both see 2, and go on.
 */
static struct slot *take_slot(void)
{
	/* A key must be in memory. i is in a register, for the verifier. */
	for (int i = 0; i < SLOTS; i++) {
		__u32 key = i;
		struct slot *slot = bpf_map_lookup_elem(&scratch, &key);

		if (!slot)
			break;
		__sync_fetch_and_add(&slot->users, 1);
		if (slot->users == 1)
			return slot;
		__sync_fetch_and_sub(&slot->users, 1);
	}
	return 0;
}

static struct total *without_stack(__u32 reason)
{
	return bpf_map_lookup_elem(&unattributed, &reason);
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
	/* After the last frame it writes zeros. */
	bytes = bpf_get_stack(ctx, stack->frames, sizeof(stack->frames),
			      BPF_F_USER_STACK);
	if (bytes <= 0)
		return without_stack(NO_USER_STACK);
	if (bytes <= FEW_FRAMES * sizeof(__u64))
		total = bpf_map_lookup_or_try_init(&totals, stack, &zeros);
	else
		total = bpf_map_lookup_or_try_init(&deep_totals, stack,
						   &zeros);
	return total ?: without_stack(MAP_FULL);
}

/* The Python side attaches this to the function, by its file and offset. */
SEC("uprobe")
int handle_alloc(struct pt_regs *ctx)
{
	struct total *total;
	struct slot *slot;

	/* Other processes hit the breakpoint, too: a child between fork() and
	 * exec(), or one that another tool traces at the same place.
	 */
	if (!is_process_of(pidns_dev, pidns_ino, target_pid))
		return 0;

	/* The kernel collects stacks in one buffer per CPU, too, which a thread
	 * that preempts this one would overwrite. Before Linux 6.10 it can.
	 */
	if (bpf_preempt_disable)
		bpf_preempt_disable();
	slot = take_slot();
	total = slot ? find_total(ctx, &slot->stack) : without_stack(NO_SCRATCH);
	if (slot)
		__sync_fetch_and_sub(&slot->users, 1);
	if (bpf_preempt_enable)
		bpf_preempt_enable();

	/* Atomic, since other CPUs add at the same time. */
	if (total) {
		__sync_fetch_and_add(&total->bytes, requested(ctx));
		__sync_fetch_and_add(&total->calls, 1);
	}
	return 0;
}

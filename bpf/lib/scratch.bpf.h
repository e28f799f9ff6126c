/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Scratch space, libbpf dialect: for an event that is too long for the stack of
 * a program, which has 512 bytes. The tool's own header declares struct event
 * and says how many SCRATCH_SLOTS there are.
 */
#pragma once

/* On each CPU, one slot for each system call. Linux 7.2 may preempt a program at
 * a system call's tracepoint. Until it goes on, the kernel does not run the same
 * program on that CPU, but it may run the program of another system call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

/* The verifier demands a comparison with NULL, although every slot exists. */
static __always_inline struct event *scratch_event(__u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Scratch space, libbpf dialect: for an event that is too long for the stack of
 * a program, which has 512 bytes. The tool's own header declares struct event
 * and says how many SCRATCH_SLOTS there are.
 */
#pragma once

/* On each CPU, one slot for each system call. Linux 7.2 may preempt a program at
 * a system call's tracepoint. The kernel does not run the same program on that
 * CPU until it goes on, but it runs that of another system call.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

/* The verifier wants to see a comparison with NULL, though every slot exists. */
static __always_inline struct event *scratch_event(__u32 slot)
{
	return bpf_map_lookup_elem(&scratch, &slot);
}

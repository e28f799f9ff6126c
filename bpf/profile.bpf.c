// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-profile, libbpf dialect: count which stacks run. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "profile.h"
#include "lib/maps.bpf.h"
#include "lib/processes.bpf.h"
#include "lib/program.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool no_kernel, no_user;	/* -U and -K: leave out these stacks */

__u64 lost;	/* samples that found counts full */

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);	/* --stack-storage-size changes it */
	__type(key, __u32);
	__type(value, struct stack);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sample);
	__type(value, __u64);
} counts SEC(".maps");

SEC("perf_event")
int handle_sample(void *ctx)
{
	struct sample key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 zero = 0, *count;

	/* 0: this CPU has nothing to do. */
	if (!key.pid || !process_matches())
		return 0;
	key.program = current_program();
	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	/* The number of the stack's slot; -EEXIST if another stack is there. */
	key.kernel_stack = no_kernel ? -1 : bpf_get_stackid(ctx, &stacks, 0);
	key.user_stack = no_user ? -1 : bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	count = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	__sync_fetch_and_add(count ?: &lost, 1);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-profile, BCC dialect: count which stacks run. */
#include "profile.h"
#include "lib/processes.bcc.h"
#include "lib/program.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dno_kernel=	-U: leave out the kernel's stacks
 *	-Dno_user=	-K: leave out the programs' stacks
 *	-Dstacks_max_entries=	--stack-storage-size
 *	-Dcounts_max_entries=	four times as many
 */

BPF_ARRAY(lost, u64, 1);	/* samples that found counts full */

/* Its values are 127 addresses, innermost first, with zeros after the last one. */
BPF_STACK_TRACE(stacks, stacks_max_entries);

BPF_HASH(counts, struct sample, u64, counts_max_entries);

int handle_sample(void *ctx)
{
	struct sample key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	u64 zero = 0, *count;
	int first = 0;

	/* 0: this CPU has nothing to do. */
	if (!key.pid || !process_matches())
		return 0;
	key.program = current_program();
	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	/* The number of the stack's slot; -EEXIST if another stack is there. */
	key.kernel_stack = no_kernel ? -1 : stacks.get_stackid(ctx, 0);
	key.user_stack = no_user ? -1 : stacks.get_stackid(ctx, BPF_F_USER_STACK);
	count = counts.lookup_or_try_init(&key, &zero);
	if (count)
		lock_xadd(count, 1);
	else
		lost.atomic_increment(first);
	return 0;
}

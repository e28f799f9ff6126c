// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-replace, libbpf dialect: a function in place of one of another program. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 answer = XDP_DROP;	/* --answer changes it */

__u64 calls;

/* It has the arguments and the result of verdict() in replace_target.bpf.c. */
SEC("freplace/verdict")
int new_verdict(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&calls, 1);
	return answer;
}

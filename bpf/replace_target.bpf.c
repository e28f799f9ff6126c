// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-replace, libbpf dialect: the program with a function that can be replaced. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A global function: the verifier checks it by itself, so that another one can take its
 * place. "volatile", and a look at ctx: or the compiler would know the result, and not
 * call it, or not hand over ctx.
 */
__attribute__((noinline)) int verdict(struct xdp_md *ctx)
{
	volatile int answer = XDP_PASS;

	return ctx ? answer : XDP_DROP;
}

SEC("xdp")
int handle_packet(struct xdp_md *ctx)
{
	return verdict(ctx);
}

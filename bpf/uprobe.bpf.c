// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-uprobe, libbpf dialect: a function of a program, as it is called and returns. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "lib/probed.bpf.h"	/* is_wanted(), send() */

/* At the function's first instruction. The arguments are where C's rules for calls put
 * them, and BPF_KPROBE() takes them from the registers.
 */
SEC("uprobe")
int BPF_KPROBE(handle_entry, long argument)
{
	return is_wanted() ? send(argument, false) : 0;
}

/* Where the function returns to. The arguments are gone there, and the result is known. */
SEC("uretprobe")
int BPF_KRETPROBE(handle_return, long result)
{
	return is_wanted() ? send(result, true) : 0;
}

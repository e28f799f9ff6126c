// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: no licence that the kernel is told of. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/* Broken: the comment in the first line is for people. The kernel reads a section
 * of the object, and there is none. The mended program says here:
 * char LICENSE[] SEC("license") = "Dual BSD/GPL";
 */

SEC("tp/syscalls/sys_enter_execve")
int say_exec(void *ctx)
{
	bpf_printk("a program is executed");
	return 0;
}

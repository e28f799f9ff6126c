// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-uprobe, BCC dialect: a function of a program, as it is called and returns. */
#include <uapi/linux/ptrace.h>

/* The Python side passes this to the compiler as a number:
 *
 *	-Drb_max_entries=	the size of rb in bytes; --buffer changes it
 */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "lib/probed.bcc.h"	/* is_wanted(), send() */

/* At the function's first instruction. The arguments are where C's rules for calls put
 * them, and BCC takes them from the registers.
 */
int handle_entry(struct pt_regs *ctx, long argument)
{
	return is_wanted() ? send(argument, false) : 0;
}

/* Where the function returns to. The arguments are gone there, and the result is known. */
int handle_return(struct pt_regs *ctx)
{
	return is_wanted() ? send(PT_REGS_RC(ctx), true) : 0;
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-usdt, BCC dialect: a place that a program's author marked for tracers. */
#include <uapi/linux/ptrace.h>
#include "lib/usdt.bcc.h"

/* The Python side passes this to the compiler as a number:
 *
 *	-Drb_max_entries=	the size of rb in bytes; --buffer changes it
 */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

#include "lib/probed.bcc.h"	/* is_wanted(), send() */

/* The argument may be in a register or in memory: a note in the program's file says
 * where, and a function reads it from there: lib/usdt.bcc.h.
 */
int handle_probe(struct pt_regs *ctx)
{
	long argument = 0;

	if (!is_wanted())
		return 0;
	bpf_usdt_readarg(1, ctx, &argument);
	return send(argument, false);
}

#include <uapi/linux/ptrace.h>
#include "returned.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

static __always_inline int send(long value, int returned)
{
	struct event e = { .value = value, .returned = returned };
	int zero = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;
}

int handle_entry(struct pt_regs *ctx, long argument)	/* at the first instruction */
{
	return send(argument, 0);
}

int handle_return(struct pt_regs *ctx)			/* where it returns to */
{
	return send(PT_REGS_RC(ctx), 1);
}

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps stack, BCC dialect: a pile of values, last in, first out. */
#include <uapi/linux/bpf.h>

BPF_STACK(stack, u32, 4);

/* Each function has its numbers in skb->cb: the tool runs it, with a packet made for it.
 * The results are numbers. BCC declares them as pointers, hence (long).
 */
int push(struct __sk_buff *skb)
{
	u32 value = skb->cb[0];

	return (long)stack.push(&value, skb->cb[1]);
}

int peek(struct __sk_buff *skb)
{
	u32 value;
	int error = (long)stack.peek(&value);

	return error ? error : value;
}

int pop(struct __sk_buff *skb)
{
	u32 value;
	int error = (long)stack.pop(&value);

	return error ? error : value;
}

/* Take a value out, add 1 to it, and put it back. */
int add(struct __sk_buff *skb)
{
	u32 value;
	int error = (long)stack.pop(&value);

	if (error)
		return error;
	value += 1;
	return (long)stack.push(&value, BPF_ANY);
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which lookups are ours, and the record for each; libbpf dialect: a part of
 * sklookup.bpf.c.
 */

/* The ports of --ports, of one address. last_port is 0 if there are none. */
const volatile __u32 wanted_address;	/* IPv4, in network byte order */
const volatile __u32 first_port, last_port;

__u64 lost;	/* records that found the buffer full */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline bool is_wanted(struct bpf_sk_lookup *ctx)
{
	return ctx->family == AF_INET && ctx->protocol == IPPROTO_UDP &&
	       ctx->local_ip4 == wanted_address &&
	       ctx->local_port >= first_port && ctx->local_port <= last_port;
}

static __always_inline void load_addresses(struct bpf_sk_lookup *ctx, struct event *e)
{
	__u32 *source = (void *)e->source, *destination = (void *)e->destination;

	e->source_port = bpf_ntohs(ctx->remote_port);
	e->destination_port = ctx->local_port;
	if (ctx->family == AF_INET) {
		e->version = 4;
		source[0] = ctx->remote_ip4;
		destination[0] = ctx->local_ip4;
		return;
	}
	e->version = 6;
	for (int i = 0; i < 4; i++) {
		source[i] = ctx->remote_ip6[i];
		destination[i] = ctx->local_ip6[i];
	}
}

static __always_inline void send(struct event *e)
{
	if (bpf_ringbuf_output(&rb, e, sizeof(*e), 0))
		__sync_fetch_and_add(&lost, 1);
}

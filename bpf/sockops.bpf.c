// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sockops, libbpf dialect: let the processes of a cgroup talk past TCP. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "sockops.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);	/* --entries changes it */
	__type(key, struct end);
	__type(value, __u64);	/* a socket; who reads it gets its cookie */
} sockets SEC(".maps");

#include "sockops_count.bpf.h"	/* set_end(), begin(), count(), send_record() */

/* The kernel calls it when something happens to a TCP socket of the cgroup. */
SEC("sockops")
int follow_socket(struct bpf_sock_ops *ctx)
{
	struct end own = {};
	long error;

	if (ctx->family != AF_INET)
		return 0;	/* only IPv4 goes past TCP */
	set_end(&own, bpf_get_netns_cookie(ctx), ctx->local_ip4, ctx->remote_ip4,
		ctx->local_port, bpf_ntohl(ctx->remote_port));
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		error = bpf_sock_hash_update(ctx, &sockets, &own, BPF_ANY);
		begin(ctx, &own, error);
	} else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE) {
		send_record(ctx, &own);
	}
	return 0;
}

/* A socket in the map sends. If the other end is there, too, it gets the message. */
SEC("sk_msg")
int pass_message(struct sk_msg_md *msg)
{
	__u64 network = bpf_get_netns_cookie(msg);
	struct end own = {}, other = {};

	set_end(&own, network, msg->local_ip4, msg->remote_ip4,
		msg->local_port, bpf_ntohl(msg->remote_port));
	set_end(&other, network, msg->remote_ip4, msg->local_ip4,
		bpf_ntohl(msg->remote_port), msg->local_port);
	if (bpf_msg_redirect_hash(msg, &sockets, &other, BPF_F_INGRESS) == SK_PASS)
		count(&own, msg->size);
	return SK_PASS;	/* if it is not there, TCP takes the message */
}

/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel types that the examples read, by hand.
 *
 * A full vmlinux.h (bpftool btf dump file /sys/kernel/btf/vmlinux format c)
 * has some 150,000 lines. This one names only the fields that are used, and
 * that is enough: the attribute below asks clang to record every access
 * instead of fixing its offset, and libbpf fills in the offset of the running
 * kernel when it loads the program. That is CO-RE: compile once, run
 * everywhere.
 */
#pragma once

/* libbpf's headers ask for this name, by the kernel's own field names. */
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

/* Numbers in network byte order; libbpf's helper prototypes name them. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

typedef _Bool bool;
typedef int pid_t;

enum { false = 0, true = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

/* What a tracepoint syscalls:sys_enter_* passes to its programs. */
struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};

/* What a tracepoint syscalls:sys_exit_* passes to its programs. */
struct trace_event_raw_sys_exit {
	long id;
	long ret;		/* a negative errno if the call failed */
};

/* The record of a tracepoint in sched/. __data_loc_X: where in it the text X
 * begins (low 16 bits) and its size (the rest), since its length varies.
 */
struct trace_event_raw_sched_process_exec {
	unsigned int __data_loc_filename;
};

typedef struct {
	int counter;
} atomic_t;

/* What every namespace has: the number in /proc/PID/ns. */
struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct uts_namespace {
	struct ns_common ns;
};

struct ipc_namespace {
	struct ns_common ns;
};

struct user_namespace {
	struct ns_common ns;
};

struct cgroup_namespace {
	struct ns_common ns;
};

struct time_namespace {
	struct ns_common ns;
};

/* A node of a tree from numbers to pointers, with one branch for each value of
 * six bits. An entry that leads to another node has bit 1 set.
 */
struct xa_node {
	unsigned char shift;	/* where in the number its six bits begin */
	void *slots[64];
};

struct xarray {
	void *xa_head;
};

struct idr {
	struct xarray idr_rt;
};

/* PID namespaces are nested. */
struct pid_namespace {
	struct idr idr;		/* its processes, by number */
	struct ns_common ns;
};

/* A process ID, and its PID namespace. */
struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

/* All the numbers of a process: from numbers[0], in the initial namespace, to
 * numbers[level], in its own.
 */
struct pid {
	unsigned int level;
	struct hlist_head tasks[4];	/* by enum pid_type: whose number it is */
	struct upid numbers[1];
};

/* The namespaces of a process, except PID and user. */
struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

/* Who a process is. */
struct cred {
	kuid_t uid;
	kgid_t gid;
	struct user_namespace *user_ns;
};

/* The cgroups of a process; dfl_cgrp is its cgroup in version 2. */
struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

/* What the threads of a process share. */
struct signal_struct {
	atomic_t live;		/* threads that have not exited yet */
	int group_exit_code;	/* of exit(3) or a signal, for all threads */
	unsigned int flags;
	struct pid *pids[4];	/* by enum pid_type */
};

/* Where in the file system a process is, and its umask. */
struct fs_struct {
	int umask;
};

/* A process's memory. It contains the arguments, and after them the environment. */
struct mm_struct {
	unsigned long start_stack;
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_end;
};

/* What the entry code needs to know of a thread at once. */
struct thread_info {
	unsigned int status;	/* x86: TS_COMPAT and others */
};

/* A thread. The kernel's pid is what user space calls a thread ID; its tgid,
 * the thread group's, is what user space calls the process ID.
 */
struct task_struct {
	struct thread_info thread_info;
	pid_t pid;
	pid_t tgid;
	unsigned int __state;
	int exit_state;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_time;	/* of its first thread, also after that one's end */
	char comm[16];
	struct signal_struct *signal;
	struct fs_struct *fs;
	struct mm_struct *mm;
	struct nsproxy *nsproxy;
	const struct cred *real_cred;
	struct css_set *cgroups;
	struct hlist_node pid_links[4];	/* its place in struct pid's tasks */
};

/* A name with its length and hash. */
struct qstr {
	const unsigned char *name;
};

/* A program that is about to be executed. If another one runs it, that one is the
 * interpreter; otherwise both names are at the same address.
 */
struct linux_binprm {
	const char *filename;
	const char *interp;
	unsigned int interp_flags;
};

/* A directory entry: the name by which its parent knows a file. */
struct dentry {
	struct qstr d_name;
};

/* A place in the file systems. */
struct path {
	struct dentry *dentry;
};

/* An open file. */
struct file {
	struct path f_path;
};

/* A path that a process gave to a system call, once it is in the kernel's memory. */
struct filename {
	const char *name;
};

/* A packet, and where it is on its way through netfilter. */
struct sk_buff {
	unsigned int len;
	unsigned char *data;	/* its address; at netfilter's hooks, of the IP header */
};

struct nf_hook_state {
	__u8 hook;		/* NF_INET_* */
};

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

/* A socket of TCP begins with a struct sock, and that with what all sockets have. */
struct sock_common {
	__u16 skc_num;		/* its own port */
	__be16 skc_dport;	/* the peer's, in network byte order */
};

struct sock {
	struct sock_common __sk_common;
};

struct tcp_sock {
	__u32 snd_cwnd;		/* packets that may be on their way at once */
};

/* The functions of a congestion control. */
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

#pragma clang attribute pop

/* enum bpf_map_type and the flags of map updates, as far as they are used. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_SOCKMAP = 15,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
	BPF_MAP_TYPE_USER_RINGBUF = 31,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,
};

#define PIDTYPE_TGID 1		/* of enum pid_type: the number of a process */
#define KEEPS_ARGV0 8		/* in linux_binprm.interp_flags, since Linux 5.12 */
#define SIGNAL_GROUP_EXIT 4	/* in signal_struct.flags: group_exit_code counts */

#define TS_COMPAT 2		/* in thread_info.status: in a 32-bit system call */
#define PSR_MODE32_BIT 16	/* in arm64's pstate: a 32-bit program */
#define AT_FDCWD -100		/* paths start in the current directory */
#define O_WRONLY 01		/* what creat(2) means */
#define O_CREAT 0100
#define O_TRUNC 01000

#define BPF_ANY 0		/* create the element, or replace it */
#define BPF_NOEXIST 1		/* create it, but only if there is none */
#define BPF_F_NO_PREALLOC 1	/* of a map: memory for an element when it comes */
#define BPF_F_ZERO_SEED (1U << 6)	/* of a map: the same hashes each time */
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1	/* make the value, with zeros, if there is none */
#define BPF_F_CURRENT_CPU 0xffffffffULL
#define BPF_F_USER_STACK (1ULL << 8)	/* the process's stack, not the kernel's */

/* What a raw tracepoint hands over: fixed, so not relocated. */
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

/* Interface of bpf_get_ns_current_pid_tgid(): fixed, too. */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

/* What a program gets of a packet: an interface, up to the last member that is
 * used. The verifier turns each access into one to the kernel's own struct sk_buff.
 */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;		/* PACKET_* */
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;		/* ETH_P_*, in network byte order */
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];		/* free for programs: numbers from one to the next */
};

/* The same before the kernel has made a struct sk_buff of it: XDP. data and data_end
 * are addresses of the packet itself, which the verifier lets the program read.
 */
struct xdp_md {
	__u32 data;
	__u32 data_end;
};

enum xdp_action {
	XDP_DROP = 1,
	XDP_PASS = 2,
};

/* A lookup of a socket. Numbers are in network byte order, but for local_port. Up to
 * Linux 5.17, remote_port has four bytes, of which the first two are the port.
 */
struct bpf_sk_lookup {
	__u64 cookie;
	__u32 family;		/* AF_* */
	__u32 protocol;		/* IPPROTO_* */
	__u32 remote_ip4;
	__u32 remote_ip6[4];
	__be16 remote_port;
	__u16 unused;
	__u32 local_ip4;
	__u32 local_ip6[4];
	__u32 local_port;
};

enum sk_action {
	SK_DROP,
	SK_PASS,
};

#define AF_INET 2

/* What a program gets of connect(2), as the caller gave it: up to the last member that
 * is used. Addresses and port are in network byte order.
 */
struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;		/* IPPROTO_* */
};

/* What a program gets of a TCP socket to which something happens. Addresses are in
 * network byte order, and so is remote_port; local_port is not.
 */
struct bpf_sock_ops {
	__u32 op;		/* what: BPF_SOCK_OPS_* */
	__u32 args[4];
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 is_fullsock;
	__u32 snd_cwnd;
	__u32 srtt_us;
	__u32 bpf_sock_ops_cb_flags;
	__u32 state;
	__u32 rtt_min;
	__u32 snd_ssthresh;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 mss_cache;
	__u32 ecn_flags;
	__u32 rate_delivered;
	__u32 rate_interval_us;
	__u32 packets_out;
	__u32 retrans_out;
	__u32 total_retrans;
	__u32 segs_in;
	__u32 data_segs_in;
	__u32 segs_out;
};

enum {
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4,	/* connect(2) has made a connection */
	BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5,	/* there is one for accept(2) */
	BPF_SOCK_OPS_STATE_CB = 10,	/* args: the old state and the new one */
	BPF_SOCK_OPS_STATE_CB_FLAG = 4,	/* asks for it */
	BPF_TCP_CLOSE = 7,
};

/* What a program gets of a message that a socket sends. */
struct sk_msg_md {
	void *data;
	void *data_end;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;	/* in network byte order */
	__u32 local_port;
	__u32 size;
};

#define BPF_F_INGRESS 1		/* to what a socket receives */
#define BPF_HDR_START_NET 1	/* of bpf_skb_load_bytes_relative(): from the IP header */

/* What an iterator hands over: fixed, too. */
struct bpf_iter_meta {
	void *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd __attribute__((aligned(8)));
	struct file *file;
};

/* The registers of a probed function: struct pt_regs. */
#include "include/uapi/linux/ptrace.h"

/* What openat2() is given: struct open_how. */
#include "include/uapi/linux/openat2.h"

/* The headers of packets. */
#include "include/uapi/linux/if_ether.h"
#include "include/uapi/linux/if_packet.h"
#include "include/uapi/linux/in.h"
#include "include/uapi/linux/ip.h"
#include "include/uapi/linux/ipv6.h"

/* What a program of traffic control answers, and one of netfilter. */
#include "include/uapi/linux/pkt_cls.h"
#include "include/uapi/linux/netfilter.h"

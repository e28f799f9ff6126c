/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The registers of the probed function, as the kernel's own asm/ptrace.h has
 * them. BCC's PT_REGS_PARM1() and its like read the arguments from here.
 */
#pragma once

#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)

struct pt_regs {
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long bp;
	unsigned long bx;
	unsigned long r11;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long cs;
	unsigned long flags;
	unsigned long sp;
	unsigned long ss;
};

#elif defined(__aarch64__) || defined(__TARGET_ARCH_arm64)

struct user_pt_regs {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long pstate;
};

struct pt_regs {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long pstate;
	/* The first argument of a system call, whose result will be in regs[0]. */
	unsigned long long orig_x0;
};

#else
#error "struct pt_regs of this architecture is not known here"
#endif

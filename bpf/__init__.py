# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The C side of the tools: sources in both dialects and compiled objects.

`NAME.bpf.c` is compiled when the package is built, into
`x86/NAME.bpf.o` and `arm64/NAME.bpf.o`; `NAME.bcc.c` is compiled by BCC at
run time. Installed as the package `ebpf_tour.bpf`.
"""

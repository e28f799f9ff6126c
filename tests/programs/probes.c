/* Functions and USDT probes that a list has to find, and some that it must not. */

#include <stddef.h>

/*
 * A note as <sys/sdt.h> makes it: the probe's address, a base, a semaphore, and
 * three strings. That header is in no package that the tests need.
 */
#define NOTE(provider, name, arguments)					\
	__asm__ volatile("990:	nop\n"					\
		".pushsection .note.stapsdt, \"\", \"note\"\n"		\
		".balign 4\n"						\
		".4byte 992f - 991f, 994f - 993f, 3\n"			\
		"991:	.asciz \"stapsdt\"\n"				\
		"992:	.balign 4\n"					\
		"993:	.8byte 990b, 0, 0\n"				\
		".asciz \"" provider "\"\n"				\
		".asciz \"" name "\"\n"					\
		".asciz \"" arguments "\"\n"				\
		"994:	.balign 4\n"					\
		".popsection\n")

int some_variable = 1;

int exported(void)
{
	NOTE("shop", "sale", "8@%rdi -4@8(%rsp) 8f@%xmm0 2@$7");
	return some_variable;
}

static __attribute__((noinline)) int hidden(void)
{
	NOTE("shop", "closed", "");
	/* The same probe at another place. */
	NOTE("shop", "sale", "8@%rax -4@%edx 8f@%xmm1 2@$8");
	return some_variable + 1;
}

/* Which code runs is chosen when the program starts. */
static int chosen_one(void)
{
	return 0;
}

static void *choose(void)
{
	return (void *)chosen_one;
}

int indirect(void) __attribute__((ifunc("choose")));

/* A name as only somebody who means harm gives it. */
int hostile(void) __asm__("\"evil\033[1A\"");
int hostile(void)
{
	NOTE("evil\033[1A", "two\\nlines", "");
	return some_variable + 2;
}

int main(void)
{
	return exported() + hidden() + indirect() + hostile() - 1 - 2 - 3;
}

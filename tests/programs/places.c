/*
 * A function that only its own file knows, with a USDT probe at three places: in a
 * register, in memory, and as a constant is where its argument is. It says "r", and
 * calls the function with 1, 2, 3 when it is told to.
 */
#include <unistd.h>

/* As in probes.c, but the compiler says where the argument is. */
#define PROBE(constraint, value)					\
	__asm__ volatile("990:	nop\n"					\
		".pushsection .note.stapsdt, \"\", \"note\"\n"		\
		".balign 4\n"						\
		".4byte 992f - 991f, 994f - 993f, 3\n"			\
		"991:	.asciz \"stapsdt\"\n"				\
		"992:	.balign 4\n"					\
		"993:	.8byte 990b, 0, 0\n"				\
		".asciz \"shop\"\n"					\
		".asciz \"sale\"\n"					\
		".asciz \"-8@%0\"\n"					\
		"994:	.balign 4\n"					\
		".popsection\n" : : constraint(value))

static __attribute__((noinline)) long only_here(long number)
{
	volatile long in_memory = -number;

	PROBE("r", number);
	PROBE("m", in_memory);
	PROBE("i", 100);
	return number + 10;
}

int main(void)
{
	char byte;
	long sum = 0;

	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		return 1;
	for (long number = 1; number <= 3; number++)
		sum += only_here(number);
	return sum != 36;
}

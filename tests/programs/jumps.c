/* Make system calls by their numbers, each several times, and then exit_group(2)
 * alone: jumps TIMES ARGUMENT [32] NUMBER... With 32, it does so as a 32-bit program
 * does. It says that it is there, and begins when a byte comes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void call(long number, long argument, int as_32_bit)
{
#if defined(__x86_64__)
	if (as_32_bit) {
		__asm__ volatile("int $0x80" : "+a"(number) : "b"(argument) : "memory");
		return;
	}
#endif
	syscall(number, argument);
}

int main(int argc, char **argv)
{
	int as_32_bit = !strcmp(argv[3], "32");
	char byte;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int n = 3 + as_32_bit; n < argc; n++)
		for (int i = 0; i < atoi(argv[1]); i++)
			call(atol(argv[n]), atol(argv[2]), as_32_bit);
	_exit(0);
}

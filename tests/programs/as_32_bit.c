/* Call getpid() 1000 times by number 20, as a 32-bit program does; for a 64-bit
 * program that is writev(). It says that it is there, and begins when a byte comes.
 */
#include <unistd.h>

int main(void)
{
	char byte;
	long pid;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < 1000; i++) {
		__asm__ volatile("int $0x80" : "=a"(pid) : "a"(20L) : "memory");
		if (pid != getpid())
			return 1;
	}
	return 0;
}

/* Make several system calls, each another number of times, and two that do not
 * exist. It says that it is there, and begins when a byte comes.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#define TIMES(n, call) for (int i = 0; i < n; i++) call

int main(void)
{
	char byte;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	TIMES(3, syscall(SYS_getppid));
	TIMES(5, syscall(SYS_getuid));
	TIMES(7, syscall(SYS_gettid));
	TIMES(11, syscall(SYS_umask, 022));
	TIMES(13, syscall(SYS_fstat, -1, 0));
	TIMES(17, syscall(SYS_uname, 0));
	TIMES(19, syscall(SYS_umount2, 0, 0));
	TIMES(23, syscall(SYS_openat2, -1, 0, 0, 0));
	TIMES(29, syscall(SYS_sendfile, -1, -1, 0, 0));
	TIMES(31, syscall(SYS_statx, -1, 0, 0, 0, 0));
	TIMES(37, syscall(9999));
	TIMES(41, syscall(-1));
	return 0;
}

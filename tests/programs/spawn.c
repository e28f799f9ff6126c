/* Execute a program, /bin/true if no other is named, some times one after the
 * other; with -1, until it is killed: spawn TIMES [PROGRAM]. It says that it is
 * there, and begins when a byte comes.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *program = argc > 2 ? argv[2] : "/bin/true";
	char byte;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i != atoi(argv[1]); i++) {
		int status;
		pid_t child = vfork();

		if (child == 0) {
			execl(program, program, NULL);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}

/* Say that it is there, and wait to be killed; with an argument, allocate all the
 * time until then.
 */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (write(1, ".", 1) < 0)
		return 1;
	while (argc == 1)
		pause();
	for (;;) {
		void *volatile pointer = malloc(1);

		free(pointer);
	}
}

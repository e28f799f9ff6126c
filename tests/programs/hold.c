/* Runs a command and holds it where it is about to load its first program, or
 * to attach what it has loaded:
 *
 *	hold load|attach COMMAND [ARGUMENT...]
 *
 * There this program stops (SIGSTOP). When it is continued, it lets the command
 * go on, and it ends as the command does.
 */
#include <linux/bpf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool loads(const struct __ptrace_syscall_info *call)
{
	return call->entry.nr == __NR_bpf && call->entry.args[0] == BPF_PROG_LOAD;
}

static bool attaches(const struct __ptrace_syscall_info *call)
{
	if (call->entry.nr == __NR_perf_event_open)
		return true;
	if (call->entry.nr == __NR_setsockopt && call->entry.args[2] == SO_ATTACH_BPF)
		return true;
	return call->entry.nr == __NR_bpf &&
	       (call->entry.args[0] == BPF_LINK_CREATE ||
		call->entry.args[0] == BPF_RAW_TRACEPOINT_OPEN);
}

int main(int argc, char **argv)
{
	bool before_attach = !strcmp(argv[1], "attach"), loaded = false;
	struct __ptrace_syscall_info call;
	struct rlimit no_core = {};
	int status, number = 0;
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	waitpid(child, &status, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0,
	       PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC);
	for (;;) {
		ptrace(PTRACE_SYSCALL, child, 0, number);
		waitpid(child, &status, 0);
		if (!WIFSTOPPED(status))
			break;
		number = WSTOPSIG(status) & 0x7f;
		if (number != SIGTRAP)	/* a signal: it shall have it */
			continue;
		number = 0;
		if (WSTOPSIG(status) == SIGTRAP)	/* the exec */
			continue;
		ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(call), &call);
		if (call.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (before_attach ? loaded && attaches(&call) : loads(&call)) {
			raise(SIGSTOP);
			ptrace(PTRACE_DETACH, child, 0, 0);
			waitpid(child, &status, 0);
			break;
		}
		loaded |= loads(&call);
	}
	if (WIFSIGNALED(status)) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}

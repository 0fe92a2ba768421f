/* bounceline: the command line of the control plane.
 *
 * main.c → options.c (what was asked) → command.c (which function) → update.c, lookup.c, import.c, status.c → session.c
 * (one question, one answer) → client_codec.c (bytes) → client.c (gRPC over the Unix socket). Keeps no state; every
 * command is one connection. */
#include <stdio.h>

#include "controlplane/cli/command.h"

int main(int argc, char **argv)
{
    struct bl_options options;
    int code;

    bl_options_parse(argc, argv, &options);
    code = options.command->run(&options);
    bl_options_fini(&options);
    /* An answer that could not be written was not given: a script must not take it for one. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        perror("bounceline: standard output");
        return code == BL_EXIT_DONE ? BL_EXIT_UNAVAILABLE : code;
    }
    return code;
}
